"""A machine laid over this one: daemons that are not installed run on it as if they were.

Its root is ours, below the tree that ``tools/setup bench`` unpacked and changes, both of which are in memory. It has
files of its own where a daemon would otherwise read or change the settings of this machine, a ``/sys`` that shows the
links of the gateway and cannot be written (NetworkManager and networkd then wait for no udev), and no bus but its own.
All of that is one mount namespace, and goes with the last process in it.
"""

import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from benchmarks.paths.background import Daemon, end_those_that_see, mounts_of
from benchmarks.paths.rig import SECONDS, CannotRunError, Rig

from icshare.host import command
from icshare.host.command import PIPE, Completed

TREE: Final = Path(sys.prefix) / "bench"
"""Where ``tools/setup bench`` unpacks the daemons: in the virtual environment that this runs in."""

BUS_ADDRESS: Final = "unix:path=/run/dbus/system_bus_socket"

_OWN: Final = (
    "/run",
    "/tmp",  # noqa: S108 - nothing is written there: it is laid over
    "/etc/NetworkManager",
    "/etc/firewalld",
    "/etc/systemd/network",
    "/var/lib/NetworkManager",
)
_EVERYBODY: Final = "4294967295"
"""As many users have their like in a namespace that is no user's own. Source: user_namespaces(7)."""

_BUS_CONFIGURATION: Final = f"""<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>system</type><listen>{BUS_ADDRESS}</listen><auth>EXTERNAL</auth><policy context="default">
<allow user="*"/><allow own="*"/><allow send_type="method_call"/><allow send_type="signal"/>
<allow send_requested_reply="true" send_type="method_return"/><allow send_requested_reply="true" send_type="error"/>
<allow receive_type="method_call"/><allow receive_type="method_return"/><allow receive_type="error"/>
<allow receive_type="signal"/></policy></busconfig>
"""


class Layered:
    """See above. *stack* ends what is started in it, the last first, and then what that left running."""

    def __init__(self, stack: ExitStack, rig: Rig) -> None:
        """Lay it over the gateway of *rig*.

        Raises:
            CannotRunError: The daemons are not there.
            HostError: The kernel refused a mount.
        """
        if not (TREE / ".complete").exists():
            raise CannotRunError("its packages were not fetched: run `tools/setup bench`")
        # And overlayfs does not lay over mounts that a user's namespace has only borrowed.
        if _EVERYBODY not in Path("/proc/self/uid_map").read_text():
            raise CannotRunError("its daemons become users that a user's own namespace does not have: run as root")
        self._stack = stack
        self._place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="icshare-bench-")))
        # Reads us until we close its input, so it ends with us; and by answering it tells that it is where it shall be.
        keep = ["unshare", "--mount", "--propagation", "private", "cat"]
        self._keeper = rig.popen(rig.gateway, keep, stdin=PIPE, stdout=PIPE)
        stack.callback(command.end, self._keeper)
        assert self._keeper.stdin is not None
        assert self._keeper.stdout is not None
        self._keeper.stdin.write(b"ready\n")
        self._keeper.stdin.flush()
        assert self._keeper.stdout.readline() == b"ready\n"
        # What a daemon has started may outlive it.
        mounts = mounts_of(Path(f"/proc/{self._keeper.pid}"))
        assert mounts is not None
        stack.callback(end_those_that_see, mounts)
        self._root = self._place / "root"
        self._lay()

    def _lay(self) -> None:
        place, root = str(self._place), str(self._root)
        self._mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", place)
        for name in ("work", "root"):
            self._seen(self._place / name).mkdir()
        # As a layer of its own the tree would overlap with the one that it lies in, which overlayfs refuses.
        command.run(["cp", "--archive", str(TREE), str(self._seen(self._place / "upper"))], timeout=SECONDS)
        layers = f"lowerdir=/,upperdir={place}/upper,workdir={place}/work"
        self._mount("-t", "overlay", "-o", layers, "overlay", root)
        for name in ("proc", "dev", "sys"):
            self._mount("--rbind", f"/{name}", f"{root}/{name}")
        self._mount("-o", "remount,bind,ro", f"{root}/sys")
        for own in _OWN:
            self.file(own).mkdir(parents=True, exist_ok=True)
            self._mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", root + own)

    def _mount(self, *words: str) -> None:
        target = f"/proc/{self._keeper.pid}/ns/mnt"
        command.run(["nsenter", f"--mount={target}", "mount", *words], timeout=SECONDS)

    def _seen(self, path: Path) -> Path:
        return Path(f"/proc/{self._keeper.pid}/root{path}")

    def file(self, path: str) -> Path:
        """Return where we can read and write its file *path*, which is absolute."""
        return self._seen(self._root / path.lstrip("/"))

    def write(self, path: str, text: str) -> None:
        """Write its file *path*, which only root may read; directories are made."""
        file = self.file(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch(mode=0o600)
        file.write_text(text)

    def argv(self, *argv: str) -> list[str]:
        """Return the argument vector that runs *argv* on it, in the process that is started."""
        keeper = f"/proc/{self._keeper.pid}"
        view = [f"--mount={keeper}/ns/mnt", f"--net={keeper}/ns/net"]
        return ["nsenter", *view, "chroot", str(self._root), *argv]

    def run(self, *argv: str, check: bool = True) -> Completed:
        """Run a program on it to its end."""
        return command.run(self.argv(*argv), check=check, timeout=SECONDS)

    def start(self, *argv: str, env: dict[str, str] | None = None) -> Daemon:
        """Start a daemon on it, which stays in the foreground; the stack ends it."""
        return Daemon(self._stack, self.argv(*argv), name=Path(argv[0]).name, env=env)

    def start_bus(self) -> None:
        """Start its system bus, and return when it listens."""
        self.write("/run/bus.conf", _BUS_CONFIGURATION)
        self.file("/run/dbus").mkdir()
        argv = self.argv("dbus-daemon", "--config-file=/run/bus.conf", "--nofork", "--print-address")
        process = command.start(argv, stdout=PIPE)
        self._stack.callback(command.end, process)
        assert process.stdout is not None
        if not process.stdout.readline():
            raise CannotRunError("its bus does not start")
