"""What radios can do, from recorded answers and random bytes."""

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icshare.errors import HostError
from icshare.model.wifi import Band, Combination, InterfaceType
from icshare.wire import netlink as nl
from icshare.wire.wiphy import dump_radios, parse_radios

HEADER = bytes(4)
SIMULATED = [
    bytes.fromhex(line)
    for line in (Path(__file__).parents[2] / "data" / "radios" / "simulated.hex").read_text(encoding="ascii").split()
]
"""Answers of Linux 6.1 about two radios of mac80211_hwsim, where no country was set."""

AP, STATION = InterfaceType.AP, InterfaceType.STATION


def flags(*kinds: int) -> bytes:
    return b"".join(nl.attribute(kind, b"") for kind in kinds)


def answer(*attributes: bytes, index: int = 0) -> bytes:
    return HEADER + nl.u32(1, index) + b"".join(attributes)


def frequencies(*channels: bytes) -> bytes:
    return nl.attribute(1, b"".join(nl.attribute(number, one) for number, one in enumerate(channels)))


def bands(*inner: bytes) -> bytes:
    return nl.attribute(22, nl.attribute(0, b"".join(inner)))


def test_all_radios_are_asked_for_in_many_messages() -> None:
    request = dump_radios(0x22)
    assert (request.type, request.flags) == (0x22, nl.NLM_F_DUMP)
    assert nl.attributes(request.payload, 4) == {174: b""}


def test_a_radio_is_put_together_from_its_messages() -> None:
    first, second = parse_radios(SIMULATED)
    assert (first.index, first.name, second.index, second.name) == (0, "phy0", 1, "phy1")
    assert {AP, STATION, InterfaceType.MONITOR} <= first.types
    assert first.software == {InterfaceType.AP_VLAN, InterfaceType.MONITOR}
    assert (first.creates, first.sae, first.ht, first.vht, first.he) == (True, True, True, True, True)
    (combination,) = first.combinations
    assert (combination.total, combination.channels) == (2050, 1)
    assert combination.limits[frozenset({InterfaceType.ADHOC})] == 1
    assert next(most for kinds, most in combination.limits.items() if AP in kinds) == 2048
    assert first.channels == second.channels


def test_channels_are_told_with_what_is_forbidden_on_them() -> None:
    radio, _ = parse_radios(SIMULATED)
    channels = {(one.band, one.number): one for one in radio.channels}
    assert channels[Band.GHZ2, 1].usable
    assert channels[Band.GHZ2, 13].no_ir
    assert channels[Band.GHZ5, 36].no_ir
    assert channels[Band.GHZ5, 52].radar
    assert channels[Band.GHZ5, 177].disabled
    assert channels[Band.GHZ6, 1].disabled
    assert [one.frequency for one in radio.channels] == sorted(one.frequency for one in radio.channels)


def test_a_radio_that_says_little_can_do_little() -> None:
    (radio,) = parse_radios([answer(nl.text(2, "phy7"), index=7)])
    assert (radio.index, radio.name) == (7, "phy7")
    assert (radio.types, radio.channels, radio.combinations) == (frozenset(), (), ())
    assert (radio.creates, radio.sae, radio.ht, radio.vht, radio.he) == (False, False, False, False, False)


def test_a_driver_that_authenticates_by_itself_does_no_sae() -> None:
    ciphers = nl.attribute(57, bytes.fromhex("04ac0f0006ac0f00ff"))
    assert parse_radios([answer(ciphers)])[0].sae
    assert not parse_radios([answer(ciphers), answer(nl.u32(141, 0))])[0].sae


def test_what_is_newer_is_left_out() -> None:
    limits = nl.attribute(1, nl.attribute(1, nl.u32(1, 2) + nl.attribute(2, flags(2, 3, 77))))
    combinations = nl.attribute(120, nl.attribute(1, limits + nl.u32(2, 2) + nl.u32(4, 1)))
    known, unknown = nl.u32(1, 2412), nl.u32(1, 58320)
    (radio,) = parse_radios(
        [
            answer(nl.attribute(32, flags(2, 3, 77)), combinations),
            answer(bands(frequencies(known, unknown))),
            answer(bands(nl.attribute(9, nl.attribute(0, nl.attribute(1, flags(2)) + nl.attribute(2, b"he"))))),
            answer(bands(nl.attribute(9, nl.attribute(0, nl.attribute(1, flags(3)))))),
        ]
    )
    assert radio.types == {STATION, AP}
    assert radio.combinations == (Combination(limits={frozenset({STATION, AP}): 2}, total=2, channels=1),)
    assert [one.frequency for one in radio.channels] == [2412]
    assert not radio.he


def test_answers_that_say_nothing_are_refused() -> None:
    with pytest.raises(HostError, match="without its number"):
        parse_radios([HEADER])
    with pytest.raises(HostError, match="32-bit number"):
        parse_radios([answer(nl.attribute(120, nl.attribute(1, b"")))])
    with pytest.raises(HostError, match="32-bit number"):
        parse_radios([answer(bands(frequencies(b"")))])


@given(st.lists(st.binary(max_size=60), max_size=3))
def test_no_bytes_break_a_reader(payloads: list[bytes]) -> None:
    with suppress(HostError):
        parse_radios(payloads)


@given(st.data())
def test_no_damage_to_a_recorded_answer_breaks_a_reader(data: st.DataObject) -> None:
    answers = list(SIMULATED)
    number = data.draw(st.integers(0, len(answers) - 1))
    whole = answers[number]
    place = data.draw(st.integers(0, len(whole) - 1))
    cut = data.draw(st.integers(place, len(whole)))
    answers[number] = whole[:place] + data.draw(st.binary(min_size=1, max_size=2)) + whole[place + 1 : cut]
    with suppress(HostError):
        parse_radios(answers[max(0, number - 2) : number + 2])
