"""Programs written for Windows, run unchanged on a gateway: what the host and the packets make of it, in all styles."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.netns import inhabited
from tests.netns.gateway import (
    NETWORK_GATEWAY,
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
from tests.netns.objects import say, unprivileged
from tests.netns.test_mappings import ask
from tests.netns.test_outside import SERVE, running

from icshare.host.command import PIPE, Completed
from icshare.lab import ECHO_ADDRESS, GATEWAY, INTERNET, SECOND_UPLINK, UPLINK, Lab

pytestmark = pytest.mark.netns

MakeLab = Callable[..., Lab]

PROGRAMS = Path(__file__).parents[1] / "windows" / "programs"
PUBLIC, SECOND = str(UPLINK.ip), str(SECOND_UPLINK.ip)
PUBLIC_NAME, PRIVATE_NAME, OTHER_NAME = "Ethernet", "Ethernet 2", "Ethernet 3"
ACCESS_DENIED = "0x80070005"
SERVED = (80, 444, 40_001)

styles = pytest.mark.parametrize("style", ["late", "makepy", "comtypes"])

# What makes the styles differ in a program of the tests' own, put before it.
_PRELUDES = {
    "late": "from win32com.client import Dispatch as create\nfrom pythoncom import CoInitialize, CoUninitialize\n",
    "makepy": "from win32com.client.gencache import EnsureDispatch as create\n"
    "from pythoncom import CoInitialize, CoUninitialize\n",
    "comtypes": "from comtypes.client import CreateObject as create\n"
    "from comtypes import CoInitialize, CoUninitialize\n",
}


def windows(lab: Lab, program: Path, *arguments: str, nobody: bool = False) -> Completed:
    """Run a program on the gateway, unprivileged if *nobody*, whatever comes of it."""
    argv = [*unprivileged(nobody), *inhabited.COMMAND, "run-windows", str(program), *arguments]
    return lab.run(GATEWAY, argv, env=inhabited.ENVIRONMENT, check=False, timeout=60)


def lines(lab: Lab, task: str, style: str, *arguments: str, status: int = 0, nobody: bool = False) -> list[str]:
    """Return what a program of ours prints; it must end with *status* and say nothing else."""
    done = windows(lab, PROGRAMS / f"{task}_{style}.py", *arguments, nobody=nobody)
    assert (done.stderr, done.returncode) == ("", status), done.stdout
    return done.stdout.splitlines()


def names(lab: Lab) -> dict[str, str]:
    """Return the name for Windows of each interface."""
    rows = [line.split(maxsplit=1) for line in output_of(lab, "run-windows", "--names").splitlines()[1:]]
    return {interface: name.strip() for interface, name in rows}


def output_of(lab: Lab, *arguments: str) -> str:
    done = icshare_command(lab, *arguments)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    return done.stdout


def mapped(lab: Lab) -> dict[str, str]:
    """Return the state of each mapping by its name, as the command line tells it."""
    return {one["name"]: one["state"] for one in document(lab, "map", "list")["mappings"]}


@contextmanager
def shared(lab: Lab, style: str, *nodes: str) -> Iterator[Lab]:
    """Share the public connection by the program, with clients; c0 serves what will be mapped."""
    told = lines(lab, "enable_sharing", style, PUBLIC_NAME, PRIVATE_NAME)
    assert [line.partition(" ")[2] for line in told] == ["True 0 True", "True 1 False"]
    for node in ("c0", *nodes):
        udhcpc(lab, node)
    with running(lab, "c0", SERVE, *SERVED):
        yield lab


# --------------------------------------------------------------------------------------------------------- to look only


def test_names_are_those_of_windows_and_stay(lab: Lab) -> None:
    first = {style: lines(lab, "list_connections", style) for style in ("late", "makepy", "comtypes")}
    assert first["late"] == first["makepy"] == first["comtypes"]
    assert first["late"][0] == "3 connections"
    guids = {name: guid for guid, name, *_ in (line.split("|") for line in first["late"][1:])}
    assert list(guids) == [PUBLIC_NAME, PRIVATE_NAME, OTHER_NAME]
    assert names(lab) == {"wan0": PUBLIC_NAME, "lan0": PRIVATE_NAME, "lan1": OTHER_NAME}
    for interface, name in names(lab).items():
        (row,) = [line for line in output_of(lab, "list", "--all").splitlines() if line.startswith(f"{interface} ")]
        assert name in row

    # as after a reboot without one of the cards: nothing of /run is there, and who comes first is another
    output(lab, GATEWAY, "ip", "link", "delete", "lan0")
    output(lab, GATEWAY, "rm", "-rf", "/run/icshare")
    again = lines(lab, "list_connections", "late")
    assert [line.split("|")[:2] for line in again[1:]] == [[guids[one], one] for one in (PUBLIC_NAME, OTHER_NAME)]
    output(lab, GATEWAY, "ip", "link", "add", "lan7", "type", "veth", "peer", "name", "lan8")
    assert set(names(lab).values()) == {PUBLIC_NAME, OTHER_NAME, "Ethernet 4", "Ethernet 5"}, "no name is given twice"
    output(lab, GATEWAY, "ip", "link", "set", "lan1", "alias", "Office")
    assert names(lab)["lan1"] == "Office"
    assert f"{guids[OTHER_NAME]}|Office|" in "\n".join(lines(lab, "list_connections", "comtypes"))


@styles
def test_what_can_be_shared(lab: Lab, style: str) -> None:
    output(lab, GATEWAY, "ip", "link", "add", "br7", "type", "bridge")
    assert lines(lab, "check_sharable", style) == [
        f"{names(lab)['br7']}: not sharable",
        *(f"{name}: sharable" for name in (PUBLIC_NAME, PRIVATE_NAME, OTHER_NAME)),
    ]


# -------------------------------------------------------------------------------------------------------------- sharing


@styles
def test_to_enable_sharing_and_what_was_shared_is_put_back(make_lab: MakeLab, style: str) -> None:
    lab = make_lab(second_uplink=True)
    for line in ("link add br7 type bridge", "link set lan1 master br7"):
        output(lab, GATEWAY, "ip", *line.split())
    called = names(lab)
    with running(lab, GATEWAY, SERVE, 22):
        told = lines(lab, "enable_sharing", style, called["wan0"].upper(), called["lan0"])
        assert [line.partition(" ")[2] for line in told] == ["True 0 True", "True 1 False"]
        udhcpc(lab, "c0")
        assert page(lab, "c0") == PUBLIC
        assert (say(lab, PUBLIC, 22), say(lab, NETWORK_GATEWAY, 22, node="c0")) == ("nothing", "word")
        status = document(lab, "status")
        assert (status["public"], status["privates"]) == ("wan0", ["lan0"])

        # a member of a bridge cannot be the private side, which is the second step
        told = lines(lab, "enable_sharing", style, called["wan1"], called["lan1"], status=1)
        assert told == ["failed: 0x80070057", "restored: True"]
        status = document(lab, "status")
        assert (status["public"], status["privates"]) == ("wan0", ["lan0"])
        assert page(lab, "c0") == PUBLIC

        told = lines(lab, "enable_sharing", style, called["wan1"], called["lan0"])
        assert [line.partition(" ")[2] for line in told] == ["True 0 True", "True 1 False"]
        assert page(lab, "c0") == SECOND


@styles
def test_to_disable_sharing_leaves_the_host_as_it_was_but_for_the_firewall(lab: Lab, style: str) -> None:
    page(lab, GATEWAY)  # it has its router in its ARP table then
    for switch in ("on", "off"):
        output_of(lab, "firewall", switch, "wan0")  # makes our directories and files
    before = settled(lab)
    with shared(lab, style):
        assert page(lab, "c0") == PUBLIC
        told = lines(lab, "disable_sharing", style)
        assert told == [f"disabled: {PUBLIC_NAME}", f"disabled: {PRIVATE_NAME}", "still shared: 0"]
        assert lines(lab, "disable_sharing", style) == ["still shared: 0"]
        assert fails(lab, "c0", "ping", "-c", "1", "-W", "1", str(ECHO_ADDRESS))
    with running(lab, GATEWAY, SERVE, 22):
        assert say(lab, PUBLIC, 22) == "nothing", "the firewall stays, as on Windows"
        output_of(lab, "firewall", "off", "wan0")
        assert say(lab, PUBLIC, 22) == "word"
    assert_unchanged(lab, {kind: found for kind, found in before.items() if kind != "files"})


# --------------------------------------------------------------------------------------------- port mappings, firewall


@styles
def test_mapped_ports_lead_to_the_client_until_they_are_deleted(lab: Lab, style: str) -> None:
    with shared(lab, style):
        client = address(lab, "c0")
        assert lines(lab, "port_mappings", style, client, "c0", "keep") == [
            *(f"new: {name} False" for name in ("Ping", "High", "Named")),
            f"Ping|6|555|444|{client}|True",
            f"High|17|40000|40001|{client}|True",
            "Named|6|8080|80|c0|True",
            "left: 3",
        ]
        assert [say(lab, PUBLIC, port) for port in (555, 8080, 444)] == ["word", "word", "nothing"]
        assert ask(lab, INTERNET, 40_000, protocol="udp") == ["x"]
        assert mapped(lab) == dict.fromkeys(("Ping", "High", "Named"), "active")

        assert lines(lab, "port_mappings", style, client, "c0", "delete") == [
            *(f"deleted: {port} True" for port in (555, 40_000, 8080)),
            "left: 0",
        ]
        assert [say(lab, PUBLIC, port) for port in (555, 8080)] == ["nothing"] * 2
        assert ask(lab, INTERNET, 40_000, protocol="udp") == []
        assert mapped(lab) == {}


@styles
def test_the_firewall_closes_a_port_of_the_gateway(make_lab: MakeLab, style: str) -> None:
    lab = make_lab(privates=1)
    with running(lab, GATEWAY, SERVE, 22):
        assert say(lab, PUBLIC, 22) == "word"
        assert lines(lab, "enable_firewall", style) == [f"{PUBLIC_NAME}: True", f"{PRIVATE_NAME}: True"]
        assert say(lab, PUBLIC, 22) == "nothing"
        assert lines(lab, "enable_firewall", style) == [f"{PUBLIC_NAME}: True", f"{PRIVATE_NAME}: True"]
        assert page(lab, GATEWAY) == PUBLIC


# ---------------------------------------------------------------------------------------------- programs of the tests'


_THREADS = """
import queue, threading
manager = create("HNetCfg.HNetShare")
by_name = {manager.NetConnectionProps(one).Name: one for one in manager.EnumEveryConnection}
told = queue.Queue()

def work():
    CoInitialize()
    try:
        mine = create("HNetCfg.HNetShare")
        for kind, name in enumerate(("Ethernet", "Ethernet 2")):
            manager.INetSharingConfigurationForINetConnection(by_name[name]).EnableSharing(kind)
        told.put([mine.EnumPublicConnections(0).Count, mine.EnumPrivateConnections(0).Count])
        del mine
    finally:
        CoUninitialize()

if __name__ == "__main__":
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    print(told.get(timeout=5), manager.EnumPublicConnections(0).Count)
"""

_NATUPNP = """
import sys
nat = create("HNetCfg.NATUPnP")
mappings = nat.StaticPortMappingCollection
if mappings is None:
    sys.exit("no gateway")
if sys.argv[1] == "add":
    made = mappings.Add(int(sys.argv[2]), "TCP", 444, sys.argv[3], True, "a program")
    print(made.ExternalIPAddress, made.ExternalPort, made.InternalClient, made.InternalPort, made.Protocol)
else:
    mappings.Remove(int(sys.argv[2]), "TCP")
print(sorted((one.ExternalPort, one.Description) for one in mappings), mappings.Count)
"""


def _program(directory: Path, style: str, text: str) -> Path:
    path = directory / "program.py"
    path.write_text(_PRELUDES[style] + text, encoding="utf-8")
    return path


@styles
def test_objects_are_used_on_another_thread(lab: Lab, tmp_path: Path, style: str) -> None:
    done = windows(lab, _program(tmp_path, style, _THREADS))
    assert (done.stdout, done.stderr, done.returncode) == ("[1, 1] 1\n", "", 0)
    udhcpc(lab, "c0")
    assert page(lab, "c0") == PUBLIC


@styles
def test_nat_traversal_opens_and_closes_a_port(lab: Lab, tmp_path: Path, style: str) -> None:
    program = _program(tmp_path, style, _NATUPNP)
    done = windows(lab, program, "add", "555", "192.168.137.10")
    assert (done.stdout, done.stderr, done.returncode) == ("", "no gateway\n", 1)
    with shared(lab, style):
        client = address(lab, "c0")
        done = windows(lab, program, "add", "50000", client)
        assert done.stderr == ""
        assert done.stdout.splitlines() == [f"{PUBLIC} 50000 {client} 444 TCP", "[(50000, 'a program')] 1"]
        assert (say(lab, PUBLIC, 50_000), say(lab, PUBLIC, 444)) == ("word", "nothing")
        assert mapped(lab) == {"a program": "active"}
        done = windows(lab, program, "remove", "50000")
        assert (done.stdout, done.stderr) == ("[] 0\n", "")
        assert say(lab, PUBLIC, 50_000) == "nothing"


# ------------------------------------------------------------------------------------------------------ what people see


@styles
def test_nobody_reads_everything_and_changes_nothing(lab: Lab, style: str) -> None:
    assert lines(lab, "list_connections", style, nobody=True) == lines(lab, "list_connections", style)
    told = lines(lab, "enable_sharing", style, PUBLIC_NAME, PRIVATE_NAME, status=1, nobody=True)
    assert told == [f"failed: {ACCESS_DENIED}", "restored: True"]
    with shared(lab, style):
        for task in ("list_connections", "check_sharable"):
            assert lines(lab, task, style, nobody=True) == lines(lab, task, style)
        before = settled(lab)
        told = lines(lab, "enable_firewall", style, nobody=True)
        assert told == [f"{PUBLIC_NAME}: True", f"{PRIVATE_NAME}: {ACCESS_DENIED}", f"{OTHER_NAME}: {ACCESS_DENIED}"]
        for task, *arguments in (["disable_sharing"], ["port_mappings", "192.168.137.9", "c0"]):
            done = windows(lab, PROGRAMS / f"{task}_{style}.py", *arguments, nobody=True)
            assert (done.stdout, done.returncode) == ("", 1)
            assert "-2147024891" in done.stderr.splitlines()[-1]
            assert "src/icshare" not in done.stderr
        assert_unchanged(lab, before)
        assert page(lab, "c0") == PUBLIC


def test_an_interrupted_program_shows_no_code_but_its_own(lab: Lab, tmp_path: Path) -> None:
    program = _program(tmp_path, "late", "print('ready', flush=True)\nwhile True:\n    create('HNetCfg.HNetShare')\n")
    argv = [*inhabited.COMMAND, "run-windows", str(program)]
    process = lab.popen(GATEWAY, argv, env=inhabited.ENVIRONMENT, stdout=PIPE, stderr=PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=30)
    assert process.returncode == -signal.SIGINT
    first, where, *_, last = told.decode().splitlines()
    assert (first, last) == ("Traceback (most recent call last):", "KeyboardInterrupt")
    assert where.startswith(f'  File "{program}", line ')
    assert told.decode().count("  File ") == 1
