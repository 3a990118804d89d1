"""The regulatory database: the real one where it is installed, made-up ones, and random bytes."""

from contextlib import suppress
from pathlib import Path
from struct import pack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icshare.errors import HostError
from icshare.model.regulation import Regulation, RegulatoryRule
from icshare.model.wifi import WORLD, Band, Country
from icshare.plan.regulation import channel_at, channels_under
from icshare.wire.regdb import countries, find_regulation

INSTALLED = Path("/lib/firmware/regulatory.db")
DE, US, NOWHERE = Country("DE"), Country("US"), Country(WORLD)


def database(*rules: tuple[int, int, int, int], code: bytes = b"DE", version: int = 20, length: int = 16) -> bytes:
    """Return a database of one country whose rules are flags, start, end and bandwidth."""
    header = b"RGDB" + pack("!I", version) + pack("!2sH", code, 4) + bytes(4)
    collection = pack("!BBBx", 3, len(rules), 2) + b"".join(
        pack("!H", 4 + (4 + 2 * len(rules) + 3) // 4 + number * 4) for number in range(len(rules))
    )
    collection += bytes(-len(collection) % 4)
    return header + collection + b"".join(pack("!BBHIII", length, flags, 2000, *others) for flags, *others in rules)


def test_a_country_has_its_rules_with_their_flags() -> None:
    data = database((0, 2_400_000, 2_483_500, 40_000), (0b11110, 5_250_000, 5_350_000, 80_000))
    assert countries(data) == {DE}
    assert find_regulation(data, US) is None
    assert find_regulation(data, DE) == Regulation(
        country=DE,
        rules=(
            RegulatoryRule(start=2_400_000, end=2_483_500, max_bandwidth=40_000, max_power=2000),
            RegulatoryRule(
                start=5_250_000,
                end=5_350_000,
                max_bandwidth=80_000,
                max_power=2000,
                no_ir=True,
                radar=True,
                no_outdoor=True,
                auto_bandwidth=True,
            ),
        ),
    )


@pytest.mark.skipif(not INSTALLED.exists(), reason="needs the package wireless-regdb")
def test_the_installed_database_knows_what_is_well_known() -> None:
    data = INSTALLED.read_bytes()
    assert {NOWHERE, DE, US, Country("JP")} <= countries(data)
    asked = [channel_at(*one) for one in ((Band.GHZ2, 13), (Band.GHZ5, 36), (Band.GHZ5, 100))]
    by_country = {}
    for country in (NOWHERE, DE, US):
        regulation = find_regulation(data, country)
        assert regulation is not None
        by_country[country] = channels_under(regulation, asked)
    assert [one.disabled for one in by_country[US]] == [True, False, False]
    assert not any(one.disabled or one.no_ir for one in by_country[DE])
    assert [one.radar for one in by_country[DE]] == [False, False, True]
    assert all(one.no_ir for one in by_country[NOWHERE])


@pytest.mark.skipif(not INSTALLED.exists(), reason="needs the package wireless-regdb")
def test_every_country_of_the_installed_database_can_be_read() -> None:
    data = INSTALLED.read_bytes()
    for country in countries(data):
        regulation = find_regulation(data, country)
        assert regulation is not None
        assert all(0 < rule.start < rule.end and rule.max_bandwidth for rule in regulation.rules)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "ends at 0"),
        (b"RGDX" + bytes(8), "does not begin as one"),
        (database(version=21), "version 21"),
        (b"RGDB\0\0\0\x14DE\0\x04", "ends at 12"),
        (database((0, 1, 2, 3))[:-1], "ends at"),
        (database((0, 1, 2, 3), length=15), "rule of 15 bytes"),
        (b"RGDB\0\0\0\x14DE\0\x04" + bytes(4) + b"\2\0\0\0", "collection of 2 bytes"),
        (b"RGDB\0\0\0\x14DE\xff\xff" + bytes(4), "262140"),
    ],
)
def test_a_damaged_database_is_refused(data: bytes, words: str) -> None:
    with pytest.raises(HostError, match=words):
        find_regulation(data, DE)


@given(st.binary(max_size=200))
def test_no_bytes_break_the_reader(data: bytes) -> None:
    with suppress(HostError):
        find_regulation(b"RGDB\0\0\0\x14" + data, DE)
    with suppress(HostError):
        countries(data)


@given(st.binary(max_size=80))
def test_no_rules_break_the_reader(data: bytes) -> None:
    with suppress(HostError):
        found = find_regulation(b"RGDB\0\0\0\x14DE\0\x04" + bytes(4) + data, DE)
        assert found is not None
