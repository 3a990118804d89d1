"""The Windows object model while things change: links, failures, reboots, other processes.

The numbers are those of the acceptance list (docs/acceptance.md).
"""

import shutil
from collections.abc import Callable

import pytest
from tests.netns.forced import write_settings
from tests.netns.gateway import (
    address,
    assert_unchanged,
    document,
    fails,
    json_of,
    output,
    page,
    settled,
    udhcpc,
)
from tests.netns.objects import (
    PRELUDE,
    PUBLIC,
    SECOND,
    SHARED,
    SIDES,
    ask,
    enable,
    facts,
    icshare,
    live,
    mapped,
    objects,
    rules,
    say,
    shared,
    start,
)
from tests.netns.test_changes import CONFIGURED
from tests.netns.test_outside import SERVE, TALK, running, talk
from tests.netns.test_strangers import dnsmasq

from icshare.host import command
from icshare.lab import GATEWAY, INTERNET, SECOND_UPLINK_ROUTER, UPLINK, UPLINK_ROUTER, Lab

pytestmark = pytest.mark.netns

MakeLab = Callable[..., Lab]


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


END_SERVICE = """
from pathlib import Path
from icshare.host.service import Service
Service(Path("/run/icshare")).stop()
"""


@pytest.mark.check(18)
def test_sides_firewalls_and_mappings_outlive_what_ends_with_the_machine(lab: Lab) -> None:
    """As after a reboot: /run is empty, the kernel knows nothing; one call brings everything into force again."""
    with running(lab, GATEWAY, SERVE, 22), shared(lab):
        enable(lab, f"add('wan0', 'web', 555, 444, '{address(lab, 'c0')}').Enable()", "private('lan1')")
        before = facts(lab)
        objects(lab, END_SERVICE)
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
    # Our name server will ask by wan1 for a moment, and then its router's hardware address is known.
    output(lab, GATEWAY, "ping", "-c", "1", "-W", "10", "-I", "wan1", str(SECOND_UPLINK_ROUTER))
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
    write_settings(lab, '[sharing]\nsubnet = "192.168.137.0/24"\n')
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


# Every property is one read of the system: a connection's part, or a mapping, may end between two of them, and the
# second says so (E_UNEXPECTED).
READING = """
import select

def side(configuration):
    try:
        return configuration.SharingConnectionType.name[15:].lower()
    except E_UNEXPECTED:
        return ""

def mapped(mapping):
    try:
        return mapping.Properties.Name
    except E_UNEXPECTED:
        return "web"

count, seen = 0, set()
while not select.select([sys.stdin], [], [], 0)[0]:
    for one in manager.EnumEveryConnection:
        try:
            configuration = manager.INetSharingConfigurationForINetConnection(one)
        except E_NOINTERFACE:
            continue
        seen.add((manager.NetConnectionProps(one).Name, side(configuration)))
        assert {mapped(one) for one in configuration.EnumPortMappings(ICSSC_DEFAULT)} <= {"web"}
        assert configuration.SharingEnabled in (True, False) and configuration.InternetFirewallEnabled in (True, False)
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
