"""Machines of a test: network namespaces with files of their own, in which programs, daemons and icshare run.

Theory of operation
-------------------
Starting icshare takes two seconds here, nearly all of it for imports. So icshare is not started: this process
has imported all of it; `Node.icshare` forks, and the child enters the node and runs the command line as the program
does: its arguments, its environment, its streams, its exit status. What icshare itself starts it starts as ever.

A node is entered by two descriptors: its network namespace, and a mount namespace in which ``/sys`` shows its links and
in which the node has its own ``/etc`` and ``/var/lib`` (the machine's, under changes of its own) and ``/run/icshare``.
The rest of ``/run`` is shared, so sockets and pid files of daemons need names of their own.

A node ends with all processes in it. Links that stand for hardware (USB, Wi-Fi) go back to where they came from, by the
kernel; all others are gone.
"""

import contextlib
import os
import re
import select
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from ipaddress import IPv4Address, IPv4Interface
from pathlib import Path
from typing import Any, Never, TextIO, cast

import msgspec
from tests.netns import watch
from tests.vm import kernelcalls

from icshare.cli.main import run as run_icshare
from icshare.host import command
from icshare.host.command import Completed
from icshare.lab import processes
from icshare.lab.plan import ZONE
from icshare.lab.settle import has_carrier

NETNS = Path("/run/netns")
PLACE = Path("/run/vm")
LAYERED = ("/etc", "/var/lib")
OWN = (*LAYERED, "/run/icshare")

# A customer's line of the provider.
LINE = IPv4Interface("192.0.2.2/24")
LINE_ROUTER = IPv4Address("192.0.2.1")

SECONDS = 60.0
"""How long anything may take. Only what hangs takes as long."""

_ETH_P_ALL = 3
_LOOK_SECONDS = 0.02
_LINES_TOLD = 20


class Daemon:
    """A program that runs in the background and writes into a file."""

    def __init__(self, argv: tuple[str, ...], output: Path, process: command.Process) -> None:
        self.argv = argv
        self.process = process
        self._output = output

    @property
    def pid(self) -> int:
        """Its process, the program's own."""
        return self.process.pid

    @property
    def output(self) -> str:
        """All that it has written so far, on standard output and error."""
        return self._output.read_text(errors="replace")

    def until(self, pattern: str, *, seconds: float = SECONDS) -> re.Match[str]:
        """Wait until the output has the regular expression *pattern* and return the match (``^`` is a line's start).

        Raises:
            AssertionError: It has ended without, or the time is up; the message has the end of it.
        """
        deadline = time.monotonic() + seconds
        while True:
            ended = self.process.poll() is not None  # asked first: what it wrote before its end counts
            found = re.search(pattern, self.output, re.MULTILINE)
            if found is not None:
                return found
            end = "".join(self.output.splitlines(keepends=True)[-_LINES_TOLD:])
            assert not ended, f"{self.argv[0]} ended ({self.process.returncode}) without {pattern!r}:\n{end}"
            assert time.monotonic() < deadline, f"{self.argv[0]} did not say {pattern!r}:\n{end}"
            time.sleep(_LOOK_SECONDS)

    def wait(self, *, seconds: float = SECONDS) -> int:
        """Return its exit status when it has ended by itself."""
        return self.process.wait(seconds)

    def end(self) -> int:
        """End it and return its exit status; one that has ended is no error."""
        return command.end(self.process)


class Capture:
    """Packets of a link, as lines of `tests.netns.watch`; nothing is missed from its making on."""

    def __init__(self, node: "Node", link: str) -> None:
        with node.network():
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM)
        self._socket.bind((link, _ETH_P_ALL))
        self._socket.setblocking(False)

    def lines(self) -> list[str]:
        """Return what has passed since the last call: IPv4 only, in both directions."""
        found = []
        with contextlib.suppress(BlockingIOError):
            while True:
                packet, (_, protocol, *_) = self._socket.recvfrom(65536)
                if protocol == watch.ETH_P_IP:
                    found.append(watch.line(packet))
        return found

    def close(self) -> None:
        """Stop."""
        self._socket.close()


class Node:
    """A machine: see above."""

    def __init__(self, name: str, *, resolv_conf: str = "") -> None:
        """Make it, with its loopback link up."""
        self.name = name
        self.directory = PLACE / name
        self._make_own()
        self.file("/etc/resolv.conf").write_text(resolv_conf)
        self._make_network()
        self._net = os.open(NETNS / name, os.O_RDONLY | os.O_CLOEXEC)
        self._mnt = self._make_view()
        self._daemons: list[Daemon] = []
        self._captures: list[Capture] = []
        self.ip("link", "set", "lo", "up")

    # ------------------------------------------------------------------------------------------------ programs

    def argv(self, *argv: str) -> list[str]:
        """Return the argument vector that runs *argv* in here."""
        here = f"/proc/{os.getpid()}/fd"
        return ["nsenter", f"--net={here}/{self._net}", f"--mount={here}/{self._mnt}", "--", *argv]

    def run(
        self,
        *argv: str,
        check: bool = True,
        input: str | None = None,  # noqa: A002 - as in host.command
        env: Mapping[str, str] | None = None,
        seconds: float = SECONDS,
    ) -> Completed:
        """Run a program to its end."""
        return command.run(self.argv(*argv), check=check, input=input, env=env, timeout=seconds)

    def ip(self, *words: str) -> str:
        """Run ``ip`` in here, from outside: quicker than `run`. Return what it prints."""
        return command.run(["ip", "-n", self.name, *words], timeout=SECONDS).stdout

    def ip_json(self, *words: str) -> Any:
        """Run ``ip -json`` in here and return the document."""
        return msgspec.json.decode(self.ip("-json", *words) or "[]")

    def start(
        self, *argv: str, until: str | None = None, env: Mapping[str, str] | None = None, seconds: float = SECONDS
    ) -> Daemon:
        """Start a program in the background and wait until it says *until*; it ends with the node at the latest.

        A program that does not flush its lines when they go into a file needs ``stdbuf -oL`` before it.
        """
        output = self.directory / f"{len(self._daemons)}-{Path(argv[0]).name}.log"
        with output.open("wb") as file:
            process = command.start(self.argv(*argv), env=env, stdout=file, stderr=command.STDOUT)
        daemon = Daemon(argv, output, process)
        self._daemons.append(daemon)
        if until is not None:
            daemon.until(until, seconds=seconds)
        return daemon

    def end_programs(self) -> None:
        """End what was started in the background, the last first. What they have written stays for `logs`."""
        for daemon in reversed(self._daemons):
            daemon.end()

    # ----------------------------------------------------------------------------------------------- in-process

    @contextlib.contextmanager
    def network(self) -> Iterator[None]:
        """Let this process itself be in the node's network for the block: for sockets, netlink, nftables."""
        outside = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            kernelcalls.enter(self._net, kernelcalls.CLONE_NEWNET)
            yield
        finally:
            kernelcalls.enter(outside, kernelcalls.CLONE_NEWNET)
            os.close(outside)

    def capture(self, link: str) -> Capture:
        """Watch the packets of a link from now on."""
        capture = Capture(self, link)
        self._captures.append(capture)
        return capture

    def icshare(self, *arguments: str, env: Mapping[str, str] | None = None, seconds: float = 2 * SECONDS) -> Completed:
        """Run ``icshare`` to its end, whatever comes of it.

        It shares without the fast path unless one is asked for: to verify the program takes many seconds here.
        """
        plain = arguments[:1] == ("share",) and "--fast-path" not in arguments
        words = [*arguments, *(("--fast-path", "off") if plain else ())]

        def program() -> None:
            sys.argv = ["icshare", *words]
            run_icshare()

        return self.call(program, name=("icshare", *arguments), env=env, seconds=seconds)

    def document(self, *arguments: str) -> Any:
        """Return the document that ``icshare`` prints, having done what it was asked for."""
        done = self.icshare(*arguments, "--json")
        assert (done.returncode, done.stderr) == (0, ""), done.stdout
        return msgspec.json.decode(done.stdout)

    def call(
        self,
        function: Callable[[], None],
        *,
        name: tuple[str, ...] = ("python",),
        env: Mapping[str, str] | None = None,
        seconds: float = SECONDS,
    ) -> Completed:
        """Call *function* in a child that is in here as a program is; return what it wrote, and its exit status.

        The status is that of ``SystemExit``; 1 with a traceback for any other exception.
        """
        streams = [os.memfd_create(stream) for stream in ("stdout", "stderr")]
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            self._be_child(function, streams, {**command.environment(env), "HOME": os.environ["HOME"]})
        return self._finish(pid, streams, name, seconds)

    def _be_child(self, function: Callable[[], None], streams: list[int], env: Mapping[str, str]) -> Never:
        status = 1
        try:
            os.setsid()
            signal.signal(signal.SIGALRM, signal.SIG_DFL)  # pytest's time limit is not ours
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            for number, stream in enumerate(streams, 1):
                os.dup2(stream, number)
            sys.stdin, sys.stdout, sys.stderr = _stream(0, "r"), _stream(1, "w"), _stream(2, "w")
            os.environ.clear()
            os.environ.update(env)
            kernelcalls.enter(self._net, kernelcalls.CLONE_NEWNET)
            kernelcalls.enter(self._mnt, kernelcalls.CLONE_NEWNS)
            status = _status_of(function)
            sys.stdout.flush()
        except BaseException:  # whatever it is, this child must not go on as a second pytest  # noqa: BLE001
            traceback.print_exc()
        finally:
            os._exit(status)

    def _finish(self, pid: int, streams: list[int], name: tuple[str, ...], seconds: float) -> Completed:
        descriptor = os.pidfd_open(pid)
        try:
            ended, _, _ = select.select([descriptor], [], [], seconds)
        finally:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(descriptor, signal.SIGKILL)  # of one that has ended: nothing
            _, status = os.waitpid(pid, 0)
            os.close(descriptor)
            written = [_content(stream) for stream in streams]
        assert ended, f"{' '.join(name)} did not end within {seconds} s:\n{''.join(written)}"
        code = os.waitstatus_to_exitcode(status)
        return Completed(argv=name, returncode=code, stdout=written[0], stderr=written[1])

    # --------------------------------------------------------------------------------------------------- files

    def file(self, path: str) -> Path:
        """Return where the node's own file *path*, somewhere in `OWN`, is outside."""
        assert any(Path(path).is_relative_to(own) for own in OWN), f"{path} is everybody's"
        return self.directory / "own" / path.removeprefix("/")

    # ----------------------------------------------------------------------------------------------------- end

    def close(self) -> None:
        """End all processes in here and remove it."""
        for capture in self._captures:
            capture.close()
        self.end_programs()
        self._end_processes()
        os.close(self._mnt)
        os.close(self._net)
        command.run(["ip", "netns", "delete", self.name])
        for place in LAYERED:
            kernelcalls.unmount(self.file(place))

    def logs(self) -> str:
        """Return what the programs in the background have written, for a failure's report."""
        return "".join(
            f"--- {self.name}: {' '.join(daemon.argv)} (status {daemon.process.poll()})\n{daemon.output}\n"
            for daemon in self._daemons
        )

    def _make_network(self) -> None:
        command.run(["ip", "netns", "add", self.name])

    def _end_processes(self) -> None:
        status = os.fstat(self._net)
        processes.end_those_in(frozenset({(status.st_dev, status.st_ino)}))

    def _make_own(self) -> None:
        for place in OWN:
            Path(place).mkdir(parents=True, exist_ok=True)
            self.file(place).mkdir(parents=True)
        for place in LAYERED:
            changes, work = (self.directory / kind / place.removeprefix("/") for kind in ("changes", "work"))
            changes.mkdir(parents=True)
            work.mkdir(parents=True)
            layers = f"lowerdir={place},upperdir={changes},workdir={work}"
            kernelcalls.mount("overlay", self.file(place), "overlay", data=layers)

    def _make_view(self) -> int:
        """Return a descriptor of a mount namespace in which the node's own files are at their places."""
        ready, tell_ready = os.pipe()
        held, release = os.pipe()
        pid = os.fork()
        if pid == 0:
            said = b""
            try:
                os.close(release)
                self._mount_own()
                os.write(tell_ready, b"\n")
                os.read(held, 1)
            except OSError as error:
                said = str(error).encode()
                os.write(tell_ready, said)
            finally:
                os._exit(1 if said else 0)
        os.close(tell_ready)
        os.close(held)
        try:
            said = os.read(ready, 4096)
            assert said == b"\n", f"node {self.name}: {said.decode()}"
            return os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        finally:
            os.close(ready)
            os.close(release)
            os.waitpid(pid, 0)

    def _mount_own(self) -> None:
        kernelcalls.enter(self._net, kernelcalls.CLONE_NEWNET)
        kernelcalls.unshare(kernelcalls.CLONE_NEWNS)
        kernelcalls.mount("", "/", flags=kernelcalls.MS_REC | kernelcalls.MS_SLAVE)
        self._mount_links()
        for place in OWN:
            kernelcalls.mount(self.file(place), place)

    def _mount_links(self) -> None:
        flags = kernelcalls.MS_NOSUID | kernelcalls.MS_NODEV | kernelcalls.MS_NOEXEC
        kernelcalls.mount("sysfs", "/sys", "sysfs", flags=flags)


class Machine(Node):
    """The virtual machine's own network as a node, for what exists nowhere else: Bluetooth.

    The test has to leave it as it was, and to end what it has started.
    """

    def _make_network(self) -> None:
        command.run(["ip", "netns", "attach", self.name, str(os.getpid())])

    def _end_processes(self) -> None:
        pass

    def _mount_links(self) -> None:
        pass  # they are in /sys already


def connect(one: Node, link: str, other: Node, other_link: str) -> None:
    """Join two nodes by a cable: two virtual Ethernet links of those names, both up and ready to carry packets."""
    ends = ["name", link, "netns", one.name, "type", "veth", "peer", "name", other_link, "netns", other.name]
    command.run(["ip", "link", "add", *ends])
    one.ip("link", "set", link, "up")
    other.ip("link", "set", other_link, "up")
    for node, name in ((one, link), (other, other_link)):
        with node.network():
            assert has_carrier(name)  # asking lets the kernel act on it; see icshare.lab.settle


def address_line(isp: Node, isp_link: str, gateway: Node, link: str) -> None:
    """Give both ends of a customer's line their addresses (`LINE_ROUTER`, `LINE`), and the customer a default route."""
    isp.ip("address", "add", f"{LINE_ROUTER}/{LINE.network.prefixlen}", "dev", isp_link)
    gateway.ip("address", "add", str(LINE), "dev", link)
    gateway.ip("route", "add", "default", "via", str(LINE_ROUTER))


def lease(node: Node, link: str) -> str:
    """Let a DHCP client (udhcpc) configure *link* of *node* and return the address that it got."""
    node.ip("link", "set", link, "up")
    node.run("udhcpc", "-f", "-n", "-q", "-t", "20", "-T", "1", "-i", link)
    (found,) = node.ip_json("-4", "address", "show", "dev", link)
    (one,) = found["addr_info"]
    address: str = one["local"]
    return address


def page(node: Node, host: str = f"www.{ZONE}") -> str:
    """Fetch the web page of the Internet and return the address that its server saw."""
    told = node.run("curl", "-sS", "--max-time", "30", f"http://{host}/").stdout
    found = re.search(r"You came from ([0-9.]+), port", told)
    assert found is not None, told
    return found[1]


def _status_of(function: Callable[[], None]) -> int:
    """Call *function* and return the exit status that the interpreter would make of it."""
    try:
        function()
    except SystemExit as exit_:
        return exit_.code if isinstance(exit_.code, int) else int(exit_.code is not None)
    return 0


def _stream(number: int, mode: str) -> TextIO:
    """Return standard stream *number* as the interpreter makes it at its start."""
    return cast("TextIO", os.fdopen(number, mode, encoding="utf-8", closefd=False, buffering=1 if number == 2 else -1))


def _content(stream: int) -> str:
    with open(stream, "rb") as file:
        file.seek(0)
        return file.read().decode(errors="replace")
