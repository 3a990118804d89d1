"""The Windows object model on the real kernel: what each of its calls does to packets, and who may call.

The numbers are those of the acceptance list (docs/acceptance.md).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from tests.netns.forced import write_settings
from tests.netns.gateway import (
    address,
    assert_unchanged,
    document,
    fails,
    icshare_command,
    output,
    page,
    settled,
    udhcpc,
)
from tests.netns.objects import (
    OFF,
    PUBLIC,
    SECOND,
    SHARED,
    SIDES,
    enable,
    facts,
    icshare,
    mapped,
    objects,
    rules,
    say,
    shared,
)
from tests.netns.test_outside import SERVE, running

from icshare.lab import ECHO_ADDRESS, GATEWAY, Lab

pytestmark = pytest.mark.netns

MakeLab = Callable[..., Lab]
ACCESS_DENIED = "0x80070005"


# -------------------------------------------------------------------------------------------------- sides and firewall


@pytest.mark.check(3)
@pytest.mark.check(4)
@pytest.mark.parametrize("order", SIDES)
def test_the_role_moves_with_its_protection_staying_behind(make_lab: MakeLab, order: str) -> None:
    lab = make_lab(privates=1, second_uplink=True)
    with running(lab, GATEWAY, SERVE, 22), shared_in_order(lab, order):
        assert facts(lab) == SHARED
        assert page(lab, "c0") == str(PUBLIC)
        objects(lab, f"add('wan0', 'web', 555, 444, '{address(lab, 'c0')}').Enable()")
        assert (say(lab, PUBLIC, 555), say(lab, PUBLIC, 22), say(lab, SECOND, 22)) == ("word", "nothing", "word")

        enable(lab, "public('wan1')")

        assert facts(lab) == {**SHARED, "wan0": ["", True, []], "wan1": ["public", True, []]}
        assert objects(lab, "told = mappings('wan0')")["web"][-1] is False
        assert page(lab, "c0") == str(SECOND)
        assert [say(lab, one, port) for one in (PUBLIC, SECOND) for port in (555, 22)] == ["nothing"] * 4


@contextmanager
def shared_in_order(lab: Lab, order: str) -> Iterator[None]:
    first, second = SIDES[order]
    enable(lab, first)
    assert (
        objects(lab, "told = [len(manager.EnumPublicConnections(0)), len(manager.EnumPrivateConnections(0))]")
        == {"public first": [1, 0], "private first": [0, 1]}[order]
    )
    enable(lab, second)
    udhcpc(lab, "c0")
    with running(lab, "c0", SERVE, 444):
        yield


@pytest.mark.check(4)
def test_a_private_keeps_its_firewall_setting_which_rests_meanwhile(lab: Lab) -> None:
    output(lab, GATEWAY, "ip", "address", "add", "192.0.2.65/28", "dev", "lan1")
    output(lab, "c1", "ip", "address", "add", "192.0.2.66/28", "dev", "eth0")
    with running(lab, GATEWAY, SERVE, 22):
        enable(lab, "config('lan1').EnableInternetFirewall()", "public('wan0')", "private('lan0')")
        assert say(lab, "192.0.2.65", 22, node="c1") == "nothing"
        enable(lab, "private('lan1')")
        assert facts(lab) == {**SHARED, "lan1": ["private", True, []]}
        for node in ("c0", "c1"):
            udhcpc(lab, node)
        assert page(lab, "c1") == str(PUBLIC)
        assert say(lab, "192.168.137.1", 22, node="c1") == "word"
        enable(lab, "config('lan1').DisableSharing()")
        assert facts(lab) == {**SHARED, "lan1": ["", True, []]}
        output(lab, "c1", "ip", "address", "add", "192.0.2.66/28", "dev", "eth0")
        assert say(lab, "192.0.2.65", 22, node="c1") == "nothing"


@pytest.mark.check(5)
@pytest.mark.check(6)
def test_disabling_what_is_not_shared_disables_its_mappings_and_leaves_its_firewall(lab: Lab) -> None:
    with running(lab, GATEWAY, SERVE, 22, 80):
        enable(lab, "config('wan0').EnableInternetFirewall()", f"add('wan0', 'own', 80, 80, '{PUBLIC}').Enable()")
        assert (say(lab, PUBLIC, 80), say(lab, PUBLIC, 22)) == ("word", "nothing")
        for _ in range(2):
            enable(lab, "config('wan0').DisableSharing()")
            assert facts(lab) == {"wan0": ["", True, []]}
            assert (say(lab, PUBLIC, 80), say(lab, PUBLIC, 22)) == ("nothing", "nothing")
        assert objects(lab, "told = mappings('wan0')") == {"own": [6, 80, 80, str(PUBLIC), False]}
        enable(lab, "config('wan0').DisableInternetFirewall()")
        assert say(lab, PUBLIC, 22) == "word"


@pytest.mark.check(6)
def test_disabling_the_public_side_ends_the_sharing_and_leaves_its_firewall(lab: Lab) -> None:
    with running(lab, GATEWAY, SERVE, 22), shared(lab):
        assert page(lab, "c0") == str(PUBLIC)
        enable(lab, "config('wan0').DisableSharing()")
        assert facts(lab) == {**SHARED, "wan0": ["", True, []]}
        assert fails(lab, "c0", "ping", "-c", "1", "-W", "1", str(ECHO_ADDRESS))
        assert say(lab, PUBLIC, 22) == "nothing"


@pytest.mark.check(12)
def test_where_no_firewall_can_be_it_is_refused(make_lab: MakeLab) -> None:
    lab = make_lab(privates=4)
    for line in ("link add br7 type bridge", "link set br7 up", "link set lan2 master br7"):
        output(lab, GATEWAY, "ip", *line.split())
    write_settings(lab, '[link.lan3]\nmedia = "direct"\n')
    enable(lab, *SIDES["public first"], "private('lan1')")
    before = rules(lab)
    for name in ("lan0", "lan1", "br7", "lan2", "lan3"):
        code, text, reasons = objects(lab, f"told = failing(config('{name}').EnableInternetFirewall)")
        assert (code, len(reasons), name in text) == ("0x80070057", 1, True), (name, text)
        assert not objects(lab, f"told = config('{name}').InternetFirewallEnabled")
    assert rules(lab) == before


# ------------------------------------------------------------------------------------------------------- port mappings


@pytest.mark.check(7)
@pytest.mark.check(9)
def test_a_mapping_is_defined_opened_and_closed_by_different_processes(lab: Lab) -> None:
    with shared(lab):
        client = address(lab, "c0")
        objects(lab, f"add('wan0', 'asymmetric', 555, 444, '{client}')")
        objects(lab, f"add('wan0', 'high', 50000, 40000, '{client}')")
        assert objects(lab, "told = mappings('wan0')") == {
            "asymmetric": [6, 555, 444, client, False],
            "high": [6, 50_000, 40_000, client, False],
        }
        assert [say(lab, PUBLIC, port) for port in (555, 50_000)] == ["nothing", "nothing"]
        for title in ("asymmetric", "high"):
            enable(lab, f"mapping('wan0', '{title}').Enable()")
        assert [say(lab, PUBLIC, port) for port in (555, 50_000)] == ["word", "word"]
        assert [say(lab, PUBLIC, port) for port in (444, 40_000)] == ["nothing", "nothing"]
        assert [say(lab, PUBLIC, 555, node=node) for node in (GATEWAY, "c0")] == ["word", "word"]
        enable(lab, "mapping('wan0', 'asymmetric').Disable()")
        assert [say(lab, PUBLIC, port) for port in (555, 50_000)] == ["nothing", "word"]
        assert objects(lab, "told = mappings('wan0')")["asymmetric"] == [6, 555, 444, client, False]


@pytest.mark.check(10)
def test_to_remove_a_mapping_and_to_delete_it_is_the_same(lab: Lab) -> None:
    with shared(lab):
        before = mapped(lab)
        for title, port in (("one", 555), ("two", 556)):
            enable(lab, f"add('wan0', '{title}', {port}, 444, '{address(lab, 'c0')}').Enable()")
        assert objects(lab, "told = sorted(mappings('wan0'))") == ["one", "two"]
        assert say(lab, PUBLIC, 555) == "word"
        enable(lab, "config('wan0').RemovePortMapping(mapping('wan0', 'one'))")
        assert [say(lab, PUBLIC, port) for port in (555, 556)] == ["nothing", "word"]
        enable(lab, "mapping('wan0', 'two').Delete()")
        assert [say(lab, PUBLIC, port) for port in (555, 556)] == ["nothing", "nothing"]
        assert objects(lab, "told = mappings('wan0')") == {}
        assert mapped(lab) == before


@pytest.mark.check(11)
def test_a_mapping_to_a_client_never_leads_to_the_gateway_itself(lab: Lab) -> None:
    with running(lab, GATEWAY, SERVE, 22, 444, 555), shared(lab):
        client = address(lab, "c0")
        enable(lab, f"add('wan0', 'client', 555, 444, '{client}').Enable()")
        assert (say(lab, PUBLIC, 555), say(lab, PUBLIC, 444)) == ("word", "nothing")
        for off, on in ((f"config('{one}').DisableSharing()", again) for one, again in SWITCHES):
            enable(lab, off)
            assert [say(lab, PUBLIC, port) for port in (22, 444, 555)] == ["nothing"] * 3, off
            enable(lab, *on)
            assert say(lab, PUBLIC, 555) == "word", off
        enable(lab, f"add('wan0', 'free', 556, 444, '{client}').Enable()")
        assert say(lab, PUBLIC, 556) == "word"
        for off in ("config('lan0').DisableSharing()", "config('wan0').DisableInternetFirewall()"):
            enable(lab, off)
            assert say(lab, PUBLIC, 556) == "nothing", "nobody listens there on the gateway"


SWITCHES = (
    ("lan0", ["private('lan0')"]),
    ("wan0", ["public('wan0')", "mapping('wan0', 'client').Enable()"]),
)


# ------------------------------------------------------------------------------------------------------- without rights


READS = """
told = [facts(), manager.SharingInstalled, len(list(manager.EnumEveryConnection)) > 2, mappings('wan0')]
told += [names(manager.EnumPublicConnections(0)), names(manager.EnumPrivateConnections(0))]
found = [one.GetProperties() for one in manager.EnumEveryConnection]
told += [sorted([one.pszwName, one.pszwDeviceName, one.Status, one.MediaType, one.dwCharacter] for one in found)]
told += [mapping('wan0', 'web').Properties.ResolvedAddress, [*ConnectionManager().EnumConnections(0)] != []]
"""
WRITES = """
web = mapping('wan0', 'web')
writes = {
    'EnableSharing(PUBLIC)': (public, 'wan1'), 'EnableSharing(PRIVATE)': (private, 'lan1'),
    'the same again': (public, 'wan0'), 'DisableSharing': (config('lan0').DisableSharing,),
    'DisableSharing of none': (config('lan1').DisableSharing,),
    'EnableInternetFirewall': (config('wan1').EnableInternetFirewall,),
    'DisableInternetFirewall': (config('wan0').DisableInternetFirewall,),
    'AddPortMapping': (add, 'wan0', 'other', 90, 90, '192.168.137.9'), 'Enable': (web.Enable,),
    'Disable': (web.Disable,), 'Delete': (web.Delete,), 'RemovePortMapping': (config('wan0').RemovePortMapping, web),
    'update': (lambda: web.update(external=91),), 'enable_ics': (manager.enable_ics, conn('wan1'), [conn('lan1')]),
}
rename = {
    'Connect': (conn('lan1').Connect,), 'Disconnect': (conn('lan1').Disconnect,), 'Rename': (conn('lan1').Rename, 'x'),
    'Delete': (conn('lan1').Delete,),
}
"""


@pytest.mark.check(13)
def test_nobody_reads_everything_and_writes_nothing(make_lab: MakeLab) -> None:
    lab = make_lab(second_uplink=True)
    assert objects(lab, "told = facts()", nobody=True)["wan0"] == OFF
    with shared(lab):
        enable(lab, f"add('wan0', 'web', 555, 444, '{address(lab, 'c0')}').Enable()")
        assert objects(lab, READS, nobody=True) == objects(lab, READS)
        before = settled(lab)
        told = objects(
            lab,
            f"{WRITES}\ntold = {{name: failing(*call) for name, call in {{**writes, **rename}}.items()}}",
            nobody=True,
        )
        assert {name: (error or [None])[0] for name, error in told.items()} == dict.fromkeys(told, ACCESS_DENIED)
        assert_unchanged(lab, before)
        assert (page(lab, "c0"), say(lab, PUBLIC, 555)) == (str(PUBLIC), "word")


@pytest.mark.check(26)
def test_where_the_policy_prohibits_it_every_write_fails_and_the_sharing_ends(make_lab: MakeLab) -> None:
    lab = make_lab(second_uplink=True)
    with running(lab, GATEWAY, SERVE, 22), shared(lab):
        enable(lab, f"add('wan0', 'web', 555, 444, '{address(lab, 'c0')}').Enable()")
        defined = objects(lab, "told = mappings('wan0')")
        write_settings(lab, "[policy]\nallow_sharing = false\nallow_firewall = false\n")
        told = objects(lab, f"{WRITES}\ntold = {{name: failing(*call) for name, call in writes.items()}}")
        assert {name: (error[0], error[2]) for name, error in told.items() if error} == dict.fromkeys(
            told, (ACCESS_DENIED, ["policy"])
        )
        assert document(lab, "status")["shared"] is False
        assert objects(lab, "told = mappings('wan0')") == defined
        assert fails(lab, "c0", "ping", "-c", "1", "-W", "1", str(ECHO_ADDRESS))
        assert [say(lab, PUBLIC, port) for port in (22, 555)] == ["nothing"] * 2, "what protects stays"
        for arguments in (["share", "wan0", "lan0"], ["map", "disable", "web"], ["firewall", "off", "wan0"]):
            assert "policy" in icshare_command(lab, *arguments).stderr
        icshare(lab, "stop")
        assert facts(lab) == {"wan0": ["", False, ["web"]]}
        assert say(lab, PUBLIC, 22) == "word"


# -------------------------------------------------------------------------------------------------------- enumerations


@pytest.mark.check(14)
@pytest.mark.check(15)
def test_enumerations_are_empty_or_full_and_take_the_default_flags_alone(lab: Lab) -> None:
    counts = """
    found = [manager.EnumPublicConnections(ICSSC_DEFAULT), manager.EnumPrivateConnections(ICSSC_DEFAULT)]
    told = [[one.Count, len(list(one)), len(one)] for one in found]
    """
    assert objects(lab, counts) == [[0, 0, 0], [0, 0, 0]]
    enable(lab, "private('lan0')", "private('lan1')")
    assert objects(lab, counts) == [[0, 0, 0], [2, 2, 2]]
    enable(lab, "public('wan0')")
    assert objects(lab, counts) == [[1, 1, 1], [2, 2, 2]]
    icshare(lab, "stop")
    assert objects(lab, counts) == [[0, 0, 0], [0, 0, 0]]
    flags = """
    calls = [manager.EnumPublicConnections, manager.EnumPrivateConnections, config('wan0').EnumPortMappings]
    told = [failing(call, flags)[0] for call in calls for flags in (ICSSC_ENABLED, 2, -1, 1 << 31)]
    """
    assert set(objects(lab, flags)) == {"0x80070057"}
