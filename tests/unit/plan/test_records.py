"""The journal's lines: what is written is read again, and what nobody wrote is refused with one clear error."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests import scenarios, strategies

from icshare.errors import HostError
from icshare.model.fastpath import Mode, PairPath, Path
from icshare.model.firewall import Firewall, FirewallOptions, IcmpOption
from icshare.model.names import InterfaceName
from icshare.model.sharing import Sharing
from icshare.plan.diff import Entry
from icshare.plan.records import VERSION, Begin, Complete, Gone, Header, State, Summary, decode, encode
from icshare.plan.steps import AnyStep, LinkRef, LoadRuleset, SetUp

HEADER = Header(journal=VERSION, boot="11111111-2222-3333-4444-555555555555", namespace=4_026_531_840, since=1.5)
NAME = "/run/icshare/journal"


def read(content: bytes) -> State | None:
    return decode(content, NAME)


def journal(*lines: Header | Begin | Gone | Complete) -> bytes:
    return b"".join(encode(line) for line in (HEADER, *lines))


@pytest.fixture(scope="module")
def real() -> bytes:
    """A journal of the plans of so many scenarios that every kind of step is in it, one after the other."""
    lines: list[Begin | Gone | Complete] = []
    seen: set[type] = set()
    for name in scenarios.names():
        scenario = scenarios.load(name)
        plan = scenarios.machine(scenario).engine.propose(scenario.wanted).plan
        kinds = {type(step) for step in plan.steps}
        if kinds <= seen:
            continue
        seen |= kinds
        begun = [Begin(begin=len(lines) + n, rank=n, step=step) for n, step in enumerate(plan.steps, start=1)]
        done = Complete(
            complete=Summary(sharing=plan.sharing, segments=plan.segments, firewalls=plan.firewalls, notes=plan.notes)
        )
        lines += [*begun, done, *(Gone(gone=one.begin) for one in begun)]
    return journal(*lines)


@given(st.lists(strategies.steps))
def test_every_step_is_read_as_it_was_written(steps: list[AnyStep]) -> None:
    state = read(journal(*(Begin(begin=n, rank=n, step=step) for n, step in enumerate(steps, start=1))))
    assert state is not None
    assert state.header == HEADER
    assert [entry.step for entry in state.entries] == steps
    assert state.next_number == len(steps) + 1
    assert not state.complete
    assert state.summary is None


@pytest.mark.parametrize("name", scenarios.names())
def test_every_sharing_is_read_as_it_was_written(name: str) -> None:
    scenario = scenarios.load(name)
    plan = scenarios.machine(scenario).engine.propose(scenario.wanted).plan
    summary = Summary(
        sharing=plan.sharing, segments=plan.segments, firewalls=plan.firewalls, notes=plan.notes, paths=plan.paths
    )
    state = read(journal(Complete(complete=summary)))
    assert state is not None
    assert state.summary == summary
    assert state.complete


def test_entries_are_in_order_of_rank_and_what_is_gone_is_not_among_them() -> None:
    first, second, third = (LoadRuleset(text=text) for text in ("one", "two", "three"))
    state = read(
        journal(
            Begin(begin=1, rank=7, step=first),
            Begin(begin=2, rank=8, step=second),
            Gone(gone=1),
            Begin(begin=3, rank=7, step=third),
        )
    )
    assert state is not None
    assert state.entries == (Entry(number=3, rank=7, step=third), Entry(number=2, rank=8, step=second))
    assert state.next_number == 4


@pytest.mark.parametrize("later", [Begin(begin=2, rank=2, step=LoadRuleset(text="")), Gone(gone=1)])
def test_what_comes_after_completion_makes_it_incomplete(later: Begin | Gone) -> None:
    """A stop that was cut off half way left a record that said the sharing was whole."""
    sharing = scenarios.load("shares_with_one_private").wanted.sharing
    begin = Begin(begin=1, rank=1, step=LoadRuleset(text=""))
    done = Complete(complete=Summary(sharing=sharing, segments=()))
    complete, incomplete = read(journal(begin, done)), read(journal(begin, done, later))
    assert complete is not None
    assert incomplete is not None
    assert (complete.complete, incomplete.complete) == (True, False)
    assert incomplete.summary is not None
    assert incomplete.summary.sharing == sharing


@pytest.mark.parametrize("content", [b"", b"{", b'{"journal": 1'])
def test_nothing_whole_says_nothing(content: bytes) -> None:
    assert read(content) is None


def test_a_journal_cut_off_anywhere_tells_an_earlier_state(real: bytes) -> None:
    """A process can die within any line: what is whole counts, the rest does not."""
    lines = real.splitlines(keepends=True)
    states = [read(b"".join(lines[:count])) for count in range(len(lines) + 1)]
    start = 0
    for count, line in enumerate(lines):
        for cut in (0, 1, len(line) // 2, len(line) - 1):
            assert read(real[: start + cut]) == states[count]
        start += len(line)


def test_a_short_journal_cut_off_at_every_byte_tells_an_earlier_state() -> None:
    sharing = scenarios.load("reserves_addresses_beside_a_smaller_pool").wanted.sharing
    whole = journal(
        Begin(begin=1, rank=1, step=LoadRuleset(text="table inet icshare {}\n")),
        Complete(complete=Summary(sharing=sharing, segments=())),
        Gone(gone=1),
    )
    for cut in range(len(whole)):
        assert read(whole[:cut]) == read(whole[: whole.rfind(b"\n", 0, cut) + 1])


@given(st.binary())
def test_random_bytes_are_one_clear_error_or_nothing(content: bytes) -> None:
    _refused_or_nothing(content)
    with pytest.raises(HostError, match="journal is damaged at line 2"):
        read(journal() + content.replace(b"\n", b"") + b"\n")


@given(st.data())
def test_a_damaged_byte_never_ends_in_a_traceback(data: st.DataObject) -> None:
    step = data.draw(strategies.steps)
    whole = journal(Begin(begin=1, rank=1, step=step), Gone(gone=1))
    place = data.draw(st.integers(0, len(whole) - 1))
    _refused_or_nothing(whole[:place] + data.draw(st.binary(min_size=1, max_size=1)) + whole[place + 1 :])


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@given(st.data())
def test_a_field_of_another_kind_never_ends_in_a_traceback(data: st.DataObject) -> None:
    raw = json.loads(encode(Begin(begin=1, rank=1, step=data.draw(strategies.steps))))
    holders = [one for one in (raw, raw["step"], raw["step"].get("link")) if isinstance(one, dict)]
    holder = data.draw(st.sampled_from(holders))
    holder[data.draw(st.sampled_from(sorted(holder)))] = data.draw(json_values)
    _refused_or_nothing(journal() + json.dumps(raw).encode() + b"\n")


def test_a_journal_of_a_later_version_is_refused_whatever_else_it_says() -> None:
    content = b'{"journal":2,"boot":{"id":"x"},"epoch":"later"}\n{"whatever":1}\n'
    with pytest.raises(HostError, match="version 2, this icshare reads version 1") as caught:
        read(content)
    assert caught.value.hint == "run stop with the version of icshare that made it"


@pytest.mark.parametrize(
    "header",
    [
        b"null",
        b"[]",
        b"{}",
        b'{"journal":"1"}',
        b'{"journal":1}',
        b'{"journal":1,"boot":"x","namespace":-1,"since":1}',
        b'{"journal":1,"boot":"x","namespace":1,"since":1e300}',
        b'{"journal":1,"boot":7,"namespace":1,"since":1}',
        b"\xff\xfe",
        b"[" * 100_000,
        b"9" * 10_000,
    ],
)
def test_a_first_line_that_is_no_header_is_refused(header: bytes) -> None:
    with pytest.raises(HostError, match=r"/run/icshare/journal is damaged at line 1: .+"):
        read(header + b"\n" + encode(Gone(gone=1)))


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"null",
        b'"begin"',
        b"{}",
        b'{"unknown":1}',
        b'{"begin":1}',
        b'{"begin":1,"rank":1,"step":{"step":"format-disk"}}',
        b'{"begin":1,"rank":1,"step":{"step":"drop-ruleset","text":""},"more":1}',
        b'{"begin":-1,"rank":1,"step":{"step":"drop-ruleset","text":""}}',
        b'{"begin":1,"rank":99999999999999999999999,"step":{"step":"drop-ruleset","text":""}}',
        b'{"begin":1,"rank":1e400,"step":{"step":"drop-ruleset","text":""}}',
        b'{"gone":"1"}',
        b'{"complete":{"sharing":{"public":"wan0"},"segments":[]}}',
        b"[" * 100_000,
    ],
    ids=lambda line: line[:60].decode(),
)
def test_a_line_of_no_known_shape_is_refused(line: bytes) -> None:
    with pytest.raises(HostError, match=r"/run/icshare/journal is damaged at line 2: .+") as caught:
        read(journal() + line + b"\n")
    assert caught.value.hint is not None
    assert caught.value.hint.startswith("nothing was changed")


HOSTILE = [
    "",
    "..",
    "../../etc",
    "a b",
    'lan0" accept',
    "lan0\n",
    "a" * 16,
    "all",
    "default",
    "-rf",
    "lan*",
    "é",
    "x\0",
]

WHERE_NAMES_ARE: list[tuple[dict[str, Any], tuple[str, ...]]] = [
    ({"step": "create-bridge", "name": "b", "mac": "52:54:00:00:00:01", "mtu": 1500}, ("name",)),
    ({"step": "delete-bridge", "name": "b", "mac": "52:54:00:00:00:01", "mtu": 1500}, ("name",)),
    ({"step": "set-master", "link": {"name": "x"}, "master": "b", "previous": None}, ("master",)),
    ({"step": "set-master", "link": {"name": "x"}, "master": None, "previous": "b"}, ("previous",)),
    ({"step": "set-master", "link": {"name": "x"}, "master": None, "previous": None}, ("link", "name")),
    ({"step": "set-up", "link": {"name": "x"}, "up": True, "previous": False}, ("link", "name")),
    (
        {"step": "set-sysctl", "link": {"name": "x"}, "setting": "ipv4/forwarding", "value": "1", "previous": "0"},
        ("link", "name"),
    ),
    ({"step": "add-address", "link": {"name": "x"}, "address": "10.0.0.1/24"}, ("link", "name")),
    ({"step": "remove-address", "link": {"name": "x"}, "address": "10.0.0.1/24"}, ("link", "name")),
    ({"step": "add-route", "link": {"name": "x"}, "destination": "10.0.0.0/24"}, ("link", "name")),
    ({"step": "remove-route", "link": {"name": "x"}, "destination": "10.0.0.0/24"}, ("link", "name")),
    ({"step": "add-rule", "link": "x", "priority": 1}, ("link",)),
    ({"step": "remove-rule", "link": "x", "priority": 1}, ("link",)),
    ({"step": "probe-dhcp", "link": "x"}, ("link",)),
    ({"step": "forget-probe", "link": "x", "members": ["x"]}, ("members", "0")),
    ({"step": "create-access-point-link", "name": "x", "radio": 0}, ("name",)),
    ({"step": "delete-access-point-link", "name": "x", "radio": 0}, ("name",)),
    ({"step": "set-interface-type", "link": {"name": "x"}, "type": 3, "previous": 2, "up": True}, ("link", "name")),
    ({"step": "start-access-point", "link": "x", "text": "", "secret": "0" * 16}, ("link",)),
    ({"step": "stop-access-point", "link": "x", "text": "", "secret": "0" * 16}, ("link",)),
]


@pytest.mark.parametrize("hostile", HOSTILE)
@pytest.mark.parametrize(("step", "place"), WHERE_NAMES_ARE, ids=str)
def test_a_hostile_name_in_a_step_is_refused(step: dict[str, Any], place: tuple[str, ...], hostile: str) -> None:
    def line(value: dict[str, Any]) -> bytes:
        return journal() + json.dumps({"begin": 1, "rank": 1, "step": value}).encode() + b"\n"

    assert read(line(step)) is not None
    changed = json.loads(json.dumps(step))
    _put(changed, place, hostile)
    with pytest.raises(HostError, match=r"damaged at line 2: .* is not a usable interface name"):
        read(line(changed))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("setting", "../../kernel/core_pattern"),
        ("setting", "ipv4/../../../kernel/hostname"),
        ("setting", "ipv4/forwarding\n"),
        ("value", "1\n"),
        ("value", "|/bin/sh"),
        ("previous", ""),
    ],
)
def test_a_setting_that_is_none_is_refused(field: str, value: str) -> None:
    step = {"step": "set-sysctl", "link": {"name": "x"}, "setting": "ipv4/forwarding", "value": "1", "previous": "0"}
    line = json.dumps({"begin": 1, "rank": 1, "step": {**step, field: value}}).encode()
    with pytest.raises(HostError, match="damaged at line 2"):
        read(journal() + line + b"\n")


@pytest.mark.parametrize(
    "step",
    [
        {"step": "create-bridge", "name": "b", "mac": "52:54:00:00:00:01\n", "mtu": 1500},
        {"step": "create-bridge", "name": "b", "mac": "no", "mtu": 1500},
        {"step": "create-bridge", "name": "b", "mac": "52:54:00:00:00:01", "mtu": 67},
        {"step": "create-bridge", "name": "b", "mac": "52:54:00:00:00:01", "mtu": 2**31},
        {"step": "set-up", "link": {"name": "x", "index": -1}, "up": True, "previous": False},
        {"step": "set-up", "link": {"name": "x", "index": 2**31}, "up": True, "previous": False},
        {"step": "add-address", "link": {"name": "x"}, "address": "10.0.0.1/33"},
        {"step": "add-address", "link": {"name": "x"}, "address": 7},
        {"step": "add-address", "link": {"name": "x"}, "address": "10.0.0.1/24", "taken": -1},
        {"step": "add-address", "link": {"name": "x"}, "address": "10.0.0.1/24", "raw": "not base64!"},
        {"step": "add-route", "link": {"name": "x"}, "destination": "10.0.0.1/24"},
        {"step": "add-route", "link": {"name": "x"}, "destination": "10.0.0.0/24", "gateway": "fe80::1"},
        {"step": "add-route", "link": {"name": "x"}, "destination": "10.0.0.0/24", "table": 2**32},
        {"step": "add-rule", "link": "x", "priority": -1},
        {"step": "set-country", "country": "de", "previous": "00"},
        {"step": "set-country", "country": "DE", "previous": "99"},
        {"step": "set-country", "country": "DE\n", "previous": "00"},
        {"step": "create-access-point-link", "name": "x", "radio": -1},
        {"step": "set-interface-type", "link": {"name": "x"}, "type": 13, "previous": 2, "up": True},
        {"step": "start-access-point", "link": "x", "text": "", "secret": "../../etc/shadow"},
    ],
    ids=str,
)
def test_a_value_that_the_kernel_could_not_hold_is_refused(step: dict[str, Any]) -> None:
    line = json.dumps({"begin": 1, "rank": 1, "step": step}).encode()
    with pytest.raises(HostError, match="damaged at line 2"):
        read(journal() + line + b"\n")


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("sharing", "public"), "wan0\n"),
        (("sharing", "privates", "0"), "../x"),
        (("segments", "0", "interface"), "x y"),
        (("segments", "0", "members", "0"), ""),
        (("sharing", "dhcp", "reservations", "0", "mac"), "no"),
        (("sharing", "dhcp", "reservations", "0", "name"), "a,b\ndhcp-script=/bin/sh"),
        (("sharing", "dns", "domain"), "home.arpa\nport=0"),
        (("sharing", "dns", "domain"), ""),
        (("sharing", "subnet"), "everything"),
        (("sharing", "helpers"), ["h323"]),
    ],
    ids=str,
)
def test_a_hostile_word_in_a_sharing_is_refused(place: tuple[str, ...], value: object) -> None:
    scenario = scenarios.load("reserves_addresses_beside_a_smaller_pool")
    plan = scenarios.machine(scenario).engine.propose(scenario.wanted).plan
    raw = json.loads(
        encode(Complete(complete=Summary(sharing=plan.sharing, segments=plan.segments, firewalls=plan.firewalls)))
    )
    _put(raw["complete"], place, value)
    with pytest.raises(HostError, match="damaged at line 2"):
        read(journal() + json.dumps(raw).encode() + b"\n")


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("sharing", "access_point", "interface"), "wlan0\n"),
        (("sharing", "access_point", "ssid"), "a\nb"),
        (("sharing", "access_point", "secret"), "my secret words"),
        (("sharing", "access_point", "country"), "de"),
        (("sharing", "access_point", "band"), "60"),
        (("segments", "0", "access_point", "interface"), "../x"),
    ],
    ids=str,
)
def test_a_hostile_word_in_an_access_point_is_refused(place: tuple[str, ...], value: object) -> None:
    scenario = scenarios.load("makes_a_link_for_an_access_point")
    plan = scenarios.machine(scenario).engine.propose(scenario.wanted).plan
    raw = json.loads(encode(Complete(complete=Summary(sharing=plan.sharing, segments=plan.segments))))
    assert read(journal() + json.dumps(raw).encode() + b"\n") is not None
    _put(raw["complete"], place, value)
    with pytest.raises(HostError, match="damaged at line 2"):
        read(journal() + json.dumps(raw).encode() + b"\n")


def test_a_field_that_a_later_version_adds_to_the_summary_is_passed_over() -> None:
    sharing = scenarios.load("shares_with_one_private").wanted.sharing
    raw = json.loads(encode(Complete(complete=Summary(sharing=sharing, segments=()))))
    raw["complete"]["colour"] = "green"
    state = read(journal() + json.dumps(raw).encode() + b"\n")
    assert state is not None
    assert state.summary is not None
    assert state.summary.sharing == sharing


def test_what_has_no_place_in_a_journal_is_a_bug_of_ours() -> None:
    up = SetUp(link=LinkRef(strategies.NAMES[0]), up=True, previous=False)
    step = msgspec.structs.replace(up, up=object())
    with pytest.raises(AssertionError, match="has no place in a journal"):
        encode(Begin(begin=1, rank=1, step=step))


def _put(target: Any, place: tuple[str, ...], value: object) -> None:
    *way, last = place
    for word in way:
        target = target[int(word) if isinstance(target, list) else word]
    target[int(last) if isinstance(target, list) else last] = value


def _refused_or_nothing(content: bytes) -> None:
    try:
        state = read(content)
    except HostError as error:
        assert error.message.startswith(NAME)  # noqa: PT017  # or it is no error at all
        assert "\n" not in error.message  # noqa: PT017
    else:
        assert state is None or isinstance(state.summary.sharing if state.summary else None, Sharing | None)


def test_a_hostile_name_in_the_path_of_a_pair_is_refused() -> None:
    pair = PairPath(public=InterfaceName("wan0"), private=InterfaceName("lan0"), path=Path.XDP, reason="it can")
    whole = encode(Complete(complete=Summary(sharing=None, segments=(), paths=(pair,))))
    assert read(journal() + whole) is not None
    with pytest.raises(HostError, match="damaged at line 2"):
        read(journal() + whole.replace(b"lan0", b"lan0\\n"))


def test_a_sharing_written_down_before_there_was_a_fast_path_may_take_any() -> None:
    whole = encode(
        Complete(
            complete=Summary(
                sharing=Sharing(public=InterfaceName("wan0"), privates=(InterfaceName("lan0"),)), segments=()
            )
        )
    )
    assert b'"fast_path":"auto"' in whole
    older = whole.replace(b',"fast_path":"auto"', b"").replace(b',"paths":[]', b"")
    state = read(journal() + older)
    assert state is not None
    assert state.summary is not None
    assert state.summary.sharing is not None
    assert (state.summary.sharing.fast_path, state.summary.paths) == (Mode.AUTO, ())


def test_firewalls_without_a_sharing_are_read_as_they_were_written() -> None:
    firewall = Firewall(
        interface=InterfaceName("wan0"),
        options=FirewallOptions(icmp=(IcmpOption.REDIRECT,), log_opened=True),
        login_port=22,
    )
    state = read(journal(Complete(complete=Summary(sharing=None, segments=(), firewalls=(firewall,)))))
    assert state is not None
    assert state.summary == Summary(sharing=None, segments=(), firewalls=(firewall,))
    hostile = encode(Complete(complete=state.summary)).replace(b"wan0", b"wan0\\n")
    with pytest.raises(HostError, match="damaged at line 2"):
        read(journal() + hostile)
