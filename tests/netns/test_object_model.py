"""The Windows object model on the real kernel: what its calls do to packets, and what other processes know of it.

The numbers are those of the acceptance list (docs/acceptance.md).
"""

import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from tests.netns.gateway import (
    SETTINGS,
    address,
    assert_unchanged,
    document,
    fails,
    icshare_command,
    json_of,
    output,
    page,
    settled,
    udhcpc,
)
from tests.netns.objects import OFF, PRELUDE, ask, facts, live, objects, say, start
from tests.netns.test_changes import CONFIGURED
from tests.netns.test_outside import SERVE, TALK, running, talk
from tests.netns.test_strangers import dnsmasq

from icshare.host import command
from icshare.lab import ECHO_ADDRESS, GATEWAY, INTERNET, SECOND_UPLINK, UPLINK, UPLINK_ROUTER, Lab

pytestmark = pytest.mark.netns

MakeLab = Callable[..., Lab]

PUBLIC, SECOND = UPLINK.ip, SECOND_UPLINK.ip
SIDES = {"public first": ["public('wan0')", "private('lan0')"], "private first": ["private('lan0')", "public('wan0')"]}
SHARED = {"wan0": ["public", True, []], "lan0": ["private", False, []]}
ACCESS_DENIED = "0x80070005"


def enable(lab: Lab, *calls: str) -> None:
    """Let each call be the only one of a process."""
    for call in calls:
        assert objects(lab, f"told = {call}") == 0


def icshare(lab: Lab, *arguments: str) -> None:
    done = icshare_command(lab, *arguments)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout


@contextmanager
def shared(lab: Lab, *clients: str) -> Iterator[Lab]:
    """Share wan0 with lan0 by objects, and serve on c0 what is mapped there."""
    enable(lab, *SIDES["public first"])
    for node in ("c0", *clients):
        udhcpc(lab, node)
    with running(lab, "c0", SERVE, 444, 40_000):
        yield lab


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
    lab.path(GATEWAY, SETTINGS).write_text('[link.lan3]\nmedia = "direct"\n')
    enable(lab, *SIDES["public first"], "private('lan1')")
    before = rules(lab)
    for name in ("lan0", "lan1", "br7", "lan2", "lan3"):
        code, text, reasons = objects(lab, f"told = failing(config('{name}').EnableInternetFirewall)")
        assert (code, len(reasons), name in text) == ("0x80070057", 1, True), (name, text)
        assert not objects(lab, f"told = config('{name}').InternetFirewallEnabled")
    assert rules(lab) == before


def rules(lab: Lab) -> str:
    """Return the gateway's rules, without what they have learnt and counted."""
    return re.sub(r"\t\telements = \{[^}]*\}\n", "", output(lab, GATEWAY, "nft", "--stateless", "list", "ruleset"))


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


def mapped(lab: Lab) -> list[str]:
    """Return what the kernel has of port mappings."""
    return [
        output(lab, GATEWAY, "nft", "--stateless", "list", "map", "inet", "icshare", name)
        for name in ("port_mappings", "mapped_sources", "own_ports")
    ]


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
        lab.path(GATEWAY, SETTINGS).write_text("[policy]\nallow_sharing = false\nallow_firewall = false\n")
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


# ------------------------------------------------------------------------------------------------------- the segment


@pytest.mark.check(16)
def test_three_privates_make_one_segment(make_lab: MakeLab) -> None:
    lab = make_lab(privates=3)
    enable(lab, "private('lan0')", "public('wan0')", "private('lan1')", "private('lan2')")
    nodes = ("c0", "c1", "c2")
    for node in nodes:
        udhcpc(lab, node)
        assert page(lab, node) == str(PUBLIC)
    for node in nodes:
        for other in nodes:
            if other != node:
                assert " 0% packet loss" in output(lab, node, "ping", "-c", "1", "-W", "5", "-t", "1", other)
    assert {address(lab, node).rsplit(".", 1)[0] for node in nodes} == {"192.168.137"}
    assert [one["members"] for one in document(lab, "status")["segments"]] == [["lan0", "lan1", "lan2"]]
    bridged = "told = [manager.NetConnectionProps(conn(f'lan{n}')).Characteristics & 0x2200 for n in range(3)]"
    assert objects(lab, bridged) == [0x2200] * 3
    enable(lab, "config('lan1').DisableSharing()")
    assert facts(lab) == {**SHARED, "lan2": ["private", False, []]}
    assert fails(lab, "c1", "ping", "-c", "1", "-W", "1", "192.168.137.1")
    assert " 0% packet loss" in output(lab, "c0", "ping", "-c", "1", "-W", "5", "c2")


@pytest.mark.check(17)
@pytest.mark.parametrize("gone", ["wan0", "lan1"])
def test_what_is_no_longer_there_is_not_in_the_way(make_lab: MakeLab, gone: str) -> None:
    lab = make_lab(second_uplink=True)
    with shared(lab):
        enable(lab, f"add('wan0', 'web', 555, 444, '{address(lab, 'c0')}').Enable()", "private('lan1')")
        output(lab, GATEWAY, "ip", "link", "delete", gone)
        assert facts(lab)[gone][0] in {"public", "private"}
        absent = f"told = [manager.NetConnectionProps(conn('{gone}')).Status, len(manager.EnumPublicConnections(0))]"
        assert objects(lab, absent) == [4, 1]
        enable(lab, "public('wan1')")
        udhcpc(lab, "c0")
        assert page(lab, "c0") == str(SECOND)
        assert objects(lab, "told = names(manager.EnumPublicConnections(0))") == ["wan1"]
        enable(lab, "config('lan0').DisableSharing()", "private('lan0')")
        udhcpc(lab, "c0")
        assert page(lab, "c0") == str(SECOND)


@pytest.mark.check(17)
def test_what_comes_back_after_its_role_was_given_away_has_none_and_can_have_it_again(make_lab: MakeLab) -> None:
    lab = make_lab(second_uplink=True)
    with shared(lab):
        output(lab, GATEWAY, "ip", "link", "delete", "wan0")
        enable(lab, "public('wan1')")
        end, far = (["netns", lab.namespace(node)] for node in (GATEWAY, INTERNET))
        link = ["add", "wan0", "address", "02:1c:5a:01:00:00", *end, "type", "veth", "peer", "name", "isp0", *far]
        command.run(["ip", "link", *link])
        for node, lines in (
            (INTERNET, [f"address add {UPLINK_ROUTER}/24 dev isp0", "link set isp0 up"]),
            (
                GATEWAY,
                [
                    f"address add {UPLINK} dev wan0",
                    "link set wan0 up",
                    f"route add default via {UPLINK_ROUTER} metric 900",
                ],
            ),
        ):
            for line in lines:
                output(lab, node, "ip", *line.split())
        assert facts(lab) == {**SHARED, "wan0": ["", True, []], "wan1": ["public", True, []]}
        assert page(lab, "c0") == str(SECOND)
        enable(lab, "public('wan0')")
        assert page(lab, "c0") == str(PUBLIC)


@pytest.mark.check(18)
def test_sides_firewalls_and_mappings_outlive_what_ends_with_the_machine(lab: Lab) -> None:
    """As after a reboot: /run is empty, the kernel knows nothing; one call brings everything into force again."""
    with running(lab, GATEWAY, SERVE, 22), shared(lab):
        enable(lab, f"add('wan0', 'web', 555, 444, '{address(lab, 'c0')}').Enable()", "private('lan1')")
        before = facts(lab)
        output(lab, GATEWAY, "kill", lab.path(GATEWAY, "/run/icshare/dnsmasq.pid").read_text().strip())
        output(lab, GATEWAY, "nft", "flush", "ruleset")
        output(lab, GATEWAY, "ip", "link", "delete", "ics-br0")
        shutil.rmtree(lab.path(GATEWAY, "/run/icshare"))
        for link in ("wan0", "lan0", "lan1"):
            output(lab, GATEWAY, "busybox", "sysctl", "-qw", f"net.ipv4.conf.{link}.forwarding=0")
        assert facts(lab) == before
        assert document(lab, "status")["shared"] is False
        assert say(lab, PUBLIC, 22) == "word"
        enable(lab, "public('wan0')")
        assert facts(lab) == before
        for node in ("c0", "c1"):
            udhcpc(lab, node)
            assert page(lab, node) == str(PUBLIC)
        assert (say(lab, PUBLIC, 555), say(lab, PUBLIC, 22)) == ("word", "nothing")


@pytest.mark.check(22)
def test_each_private_gets_back_what_it_had(lab: Lab) -> None:
    output(lab, GATEWAY, "ip", "-batch", "-", input=CONFIGURED)
    output(lab, GATEWAY, "ip", "link", "set", "lan1", "down")
    page(lab, GATEWAY)  # it has its router in its ARP table then
    for call in ("config('lan0').EnableInternetFirewall()", "config('lan0').DisableInternetFirewall()"):
        enable(lab, call)  # makes our directories and files
    before, routes = settled(lab), lan0(lab)
    enable(lab, "private('lan1')", "private('lan0')", "public('wan0')")
    udhcpc(lab, "c0")
    assert page(lab, "c0") == str(PUBLIC)
    enable(lab, "config('lan0').DisableSharing()")
    assert lan0(lab) == routes, "also while the others go on"
    enable(lab, "private('lan0')")
    for name in ("lan1", "wan0", "lan0"):
        enable(lab, f"config('{name}').DisableSharing()")
    enable(lab, "config('wan0').DisableInternetFirewall()")
    assert lan0(lab) == routes
    assert_unchanged(lab, before)


def lan0(lab: Lab) -> list[list[str]]:
    """Return addresses, in their order, and routes of lan0."""
    (link,) = json_of(lab, GATEWAY, "ip", "-json", "-4", "address", "show", "dev", "lan0")
    told = [f"{one['local']}/{one['prefixlen']} {one.get('label')} {one['scope']}" for one in link["addr_info"]]
    routes = output(lab, GATEWAY, "ip", "-4", "route", "show", "table", "all", "dev", "lan0")
    return [told, sorted(routes.splitlines())]


# ------------------------------------------------------------------------------------------------------------ failures


@pytest.mark.check(27)
@pytest.mark.parametrize("order", SIDES)
def test_when_the_second_side_cannot_be_everything_is_as_after_the_first(lab: Lab, order: str) -> None:
    first, second = SIDES[order]
    enable(lab, first)
    with dnsmasq(lab, GATEWAY, "--no-resolv") as pid:
        before, told = settled(lab), facts(lab)
        code, text, _ = objects(lab, f"told = failing(lambda: {second})")
        assert (code, f"dnsmasq (pid {pid})" in text) == ("0x80004005", True), text
        assert facts(lab) == told
        assert_unchanged(lab, before)
    enable(lab, second)
    udhcpc(lab, "c0")
    assert page(lab, "c0") == str(PUBLIC)


@pytest.mark.check(27)
def test_a_public_that_proves_not_to_work_leaves_the_sharing_and_its_mappings_as_they_were(make_lab: MakeLab) -> None:
    lab = make_lab(second_uplink=True)
    with shared(lab):
        enable(lab, f"add('wan0', 'web', 555, 444, '{address(lab, 'c0')}').Enable()")
        table = "add table inet strict\nadd chain inet strict gate { type filter hook forward priority 7; }\n"
        output(lab, GATEWAY, "nft", "-f", "-", input=f'{table}add rule inet strict gate oifname "wan1" drop\n')
        before, told, loaded = settled(lab), facts(lab), [rules(lab), mapped(lab)]
        code, text, _ = objects(lab, "told = failing(public, 'wan1')")
        assert (code, "inet strict" in text) == ("0x80004005", True), text
        assert (facts(lab), [rules(lab), mapped(lab)]) == (told, loaded)
        assert (page(lab, "c0"), say(lab, PUBLIC, 555)) == (str(PUBLIC), "word")
        assert_unchanged(lab, {kind: lines for kind, lines in before.items() if kind not in {"nftables", "files"}})


@pytest.mark.check(27)
def test_to_enable_both_sides_in_one_call_works_or_changes_nothing(make_lab: MakeLab) -> None:
    lab = make_lab(second_uplink=True)
    both = "manager.enable_ics(conn('wan1'), [conn('lan1')])"
    with shared(lab):
        table = "add table inet strict\nadd chain inet strict gate { type filter hook forward priority 7; }\n"
        output(lab, GATEWAY, "nft", "-f", "-", input=f'{table}add rule inet strict gate oifname "wan1" drop\n')
        before, told, loaded = settled(lab), facts(lab), rules(lab)
        assert objects(lab, f"told = failing(lambda: {both})")[0] == "0x80004005"
        assert (facts(lab), rules(lab)) == (told, loaded)
        assert page(lab, "c0") == str(PUBLIC)
        assert_unchanged(
            lab, {kind: lines for kind, lines in before.items() if kind not in {"nftables", "files", "processes"}}
        )
        output(lab, GATEWAY, "nft", "delete", "table", "inet", "strict")
        objects(lab, both)
        assert facts(lab) == {"wan0": ["", True, []], "wan1": ["public", True, []], "lan1": ["private", False, []]}
        udhcpc(lab, "c1")
        assert page(lab, "c1") == str(SECOND)


@pytest.mark.check(27)
def test_what_is_refused_before_anything_is_touched_cuts_no_connection(make_lab: MakeLab) -> None:
    lab = make_lab(second_uplink=True)
    lab.path(GATEWAY, SETTINGS).write_text('[sharing]\nsubnet = "192.168.137.0/24"\n')
    with shared(lab):
        enable(lab, f"add('wan0', 'web', 555, 444, '{address(lab, 'c0')}').Enable()")
        with running(lab, INTERNET, TALK, PUBLIC, 555) as session:
            assert talk(session, b"before\n") == b"before\n"
            output(lab, GATEWAY, "ip", "address", "add", "192.168.137.77/24", "dev", "wan1")
            before, told = settled(lab), facts(lab)
            for call in ("public('wan1')", "private('lan1')"):
                code, text, _ = objects(lab, f"told = failing(lambda: {call})")
                assert (code, "192.168.137" in text) == ("0x80004005", True), text
            assert facts(lab) == told
            assert_unchanged(lab, before)
            assert talk(session, b"after\n") == b"after\n"


# ----------------------------------------------------------------------------------------------------- live, both ways


def test_objects_tell_what_other_processes_have_done_and_the_command_line_what_objects_have(make_lab: MakeLab) -> None:
    lab = make_lab(second_uplink=True)
    code, names = live("wan0", "wan1", "lan0", "lan1")
    sharing = "[objects[name].SharingEnabled for name in ('wan0', 'lan0', 'lan1')]"
    firewall = "[objects[name].InternetFirewallEnabled for name in ('wan0', 'wan1')]"
    enabled = "[one.Properties.Enabled for one in objects['wan0'].EnumPortMappings(0)]"
    with running(lab, GATEWAY, code, *names) as program:
        assert [ask(program, one) for one in (sharing, firewall, enabled)] == [[False] * 3, [False] * 2, []]
        icshare(lab, "share", "wan0", "lan0")
        assert [ask(program, one) for one in (sharing, firewall)] == [[True, True, False], [True, False]]
        icshare(lab, "firewall", "on", "wan1")
        assert ask(program, firewall) == [True, True]
        icshare(lab, "map", "add", "web", "tcp", "555", "192.168.137.9:444", "--disabled")
        assert ask(program, enabled) == [False]
        icshare(lab, "map", "enable", "web")
        assert ask(program, enabled) == [True]
        assert ask(program, "mappings('wan0')") == {"web": [6, 555, 444, "192.168.137.9", True]}

        assert ask(program, "private('lan1')") == 0
        assert document(lab, "status")["privates"] == ["lan0", "lan1"]
        assert ask(program, "mapping('wan0', 'web').Disable()") == 0
        assert [one["enabled"] for one in document(lab, "map", "list")["mappings"]] == [False]
        assert ask(program, "objects['wan1'].DisableInternetFirewall()") == 0
        assert protected(lab) == ["wan0"]

        icshare(lab, "map", "remove", "web")
        icshare(lab, "share", "wan1", "lan1")
        assert [ask(program, one) for one in (sharing, firewall, enabled)] == [[False, False, True], [True] * 2, []]
        icshare(lab, "stop")
        assert [ask(program, one) for one in (sharing, firewall)] == [[False] * 3, [False] * 2]
        assert ask(program, "objects['wan1'].DisableSharing()") == 0


def protected(lab: Lab) -> list[str]:
    """Return the connections whose firewall is on, as the command line tells it."""
    return [one["interface"] for one in document(lab, "firewall", "status")["firewalls"] if one["on"]]


READING = """
import select
count, seen = 0, set()
while not select.select([sys.stdin], [], [], 0)[0]:
    for name, (side, firewall, enabled) in facts().items():
        seen.add((name, side))
    assert len(list(manager.EnumPublicConnections(0))) < 2 and len(list(manager.EnumPrivateConnections(0))) < 3
    count += 1
    if count == 1:
        print("ready", flush=True)
print(json.dumps([count, sorted(seen)]), flush=True)
"""


def test_whoever_reads_during_changes_reads_what_was_or_what_is(make_lab: MakeLab) -> None:
    lab = make_lab(second_uplink=True)
    with running(lab, GATEWAY, f"{PRELUDE}\n{READING}") as reader:
        for _ in range(2):
            icshare(lab, "share", "wan0", "lan0", "lan1")
            icshare(lab, "map", "add", "web", "tcp", "555", "192.168.137.9:444")
            enable(lab, "public('wan1')", "config('lan1').DisableSharing()", "private('lan1')")
            icshare(lab, "map", "remove", "web")
            icshare(lab, "stop")
        count, seen = ask(reader, "")
    assert count > 10
    sides = {"wan0": "public", "wan1": "public", "lan0": "private", "lan1": "private"}
    assert {tuple(one) for one in seen} == {*sides.items()} | {(one, "") for one in sides}


def test_processes_that_designate_at_the_same_time_wait_for_each_other(make_lab: MakeLab) -> None:
    lab = make_lab(privates=3)
    calls = ["public('wan0')", *(f"private('lan{number}')" for number in range(3))]
    both = [start(lab, f"told = {call}") for call in calls]
    assert [(one.wait(60), one.stdout and one.stdout.read()) for one in both] == [(0, b"0\n")] * 4
    for one in both:
        command.end(one)
    assert facts(lab) == {"wan0": ["public", True, []], **{f"lan{n}": ["private", False, []] for n in range(3)}}
    assert sorted(document(lab, "status")["privates"]) == ["lan0", "lan1", "lan2"]
    for node in ("c0", "c1", "c2"):
        udhcpc(lab, node)
        assert page(lab, node) == str(PUBLIC)
