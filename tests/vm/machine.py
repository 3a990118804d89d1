"""Boot the virtual machine, run one program in it as root, return its exit status.

Theory of operation
-------------------
The machine has no disk and no network card. Its root file system has three layers. The lowest is that of the machine it
runs on, read by 9p and never written. Over it lies the tree of packages, as if they were installed, and over that
memory, which takes all changes. So the checkout and its environment are at the same paths inside, and nothing has to be
copied.

``/init`` (`_INIT`) mounts that and becomes ``/bin/sh`` of the root file system with the job (`_job`), which runs the
program and powers the machine off. Output leaves on ``hvc0``, the exit status on ``hvc1``, files on ``hvc2`` if
any are wanted, the kernel's log on ``ttyS0``. A machine that ends without a status has crashed, and that is a failure.

The processor is emulated (TCG): much of what tests icshare is a virtual machine itself, and there KVM is missing or,
worse, hangs. One emulated processor is quicker than two, which would wait for each other's locks.
"""

import contextlib
import shlex
import shutil
import subprocess
import sys
import tarfile
import tempfile
import termios
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.vm import image
from tests.vm.image import NoMachineError

QEMU = "qemu-system-x86_64"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
HOME = "/run/home"  # what is in /root an ordinary user may not look at, and then root in here may not either
MEMORY_MEGABYTES = 2048

_KERNEL_ARGUMENTS = (
    "console=ttyS0",
    "quiet",
    "loglevel=5",
    "panic=-1",  # end at once: qemu is told not to reboot
    "mitigations=off",
    "nokaslr",
    "norandmaps",  # programs at the same addresses each time: what was translated of one serves the next
    "clocksource=hpet",  # qemu's own clock: on a loaded machine the kernel counts the processor's too fast by far
    "no_timer_check",
    "random.trust_cpu=on",
    "cryptomgr.notests",
    "net.ifnames=0",
    "audit=0",
)
_LOG_LINES = 40

_INIT = r"""#!/bin/busybox sh
export PATH=/bin
/bin/busybox --install -s /bin
mount -t devtmpfs dev /dev && mount -t proc proc /proc && mount -t sysfs sys /sys
while read -r module; do insmod /modules/$module || echo "init: cannot load $module" >/dev/kmsg; done </modules/order
nine=trans=virtio,version=9p2000.L,msize=512000,access=any,cache=loose
mount -t 9p -o ro,$nine root /lower &&
mount -t 9p -o ro,$nine tree /tree &&
mount -t tmpfs -o size=75% upper /upper && mkdir /upper/changes /upper/work &&
mount -t overlay -o lowerdir=/tree:/lower,upperdir=/upper/changes,workdir=/upper/work root /new || poweroff -f
mount -t tmpfs -o mode=755 run /new/run && mkdir -m 1777 /new/run/lock && mkdir /new/run/home && cp /job /new/run/job
for place in dev proc sys; do mount --move /$place /new/$place; done
mkdir /new/dev/pts /new/dev/shm
mount -t devpts -o gid=5,mode=620,ptmxmode=666 pts /new/dev/pts
mount -t tmpfs -o mode=1777 shm /new/dev/shm
mount -t cgroup2 cgroup /new/sys/fs/cgroup
mount -t bpf bpf /new/sys/fs/bpf
exec switch_root /new /run/job
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What to run in the machine.

    Attributes:
        argv: Program and arguments.
        directory: Working directory.
        env: Its whole environment but for ``PATH`` and ``HOME``.
        interactive: Give it our terminal.
        makes: A directory that it makes in the machine, relative to its own, whose files are wanted out here.
    """

    argv: Sequence[str]
    directory: Path
    env: Mapping[str, str]
    interactive: bool = False
    makes: str = ""


def check() -> None:
    """Check that there is an emulator.

    Raises:
        NoMachineError: There is none.
    """
    if shutil.which(QEMU) is None:
        raise NoMachineError(f"{QEMU} is not installed (Debian: qemu-system-x86)")


def run(
    tree: image.Tree,
    program: Program,
    *,
    limit_seconds: float,
    accelerator: str = "tcg",
    results: Path | None = None,
) -> int | None:
    """Boot, run *program*, and return its exit status; its output is ours.

    Args:
        tree: Kernel and packages.
        program: What to run.
        limit_seconds: When to pull the plug.
        accelerator: qemu's: ``tcg``, or ``kvm`` where that is known to work.
        results: Directory for the files that the program makes.

    Returns:
        None when the machine ended without a status or the time was up; standard error says so by then.
    """
    with tempfile.TemporaryDirectory(prefix="icshare-vm-") as scratch:
        place = Path(scratch)
        archive = image.initramfs(tree, {"init": _INIT.encode(), "job": _job(program).encode()})
        (place / "initramfs").write_bytes(archive)
        argv = [*_qemu(tree, place, accelerator), *_console(program)]
        with _terminal_kept():
            stdin = None if program.interactive else subprocess.DEVNULL
            emulator = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", *argv], stdin=stdin)
            try:
                emulator.wait(limit_seconds)
                said = ""
            except subprocess.TimeoutExpired:
                said = f"not finished after {limit_seconds:.0f} s: the machine was switched off"
            finally:
                emulator.kill()
                emulator.wait()
        if results is not None and (place / "results").exists():
            _take_out(place / "results", results)
        status = (place / "status").read_text().strip() if (place / "status").exists() else ""
        if not said and status.isdigit():
            return int(status)
        log = (place / "kernel.log").read_text(errors="replace").splitlines() if (place / "kernel.log").exists() else []
        said = said or f"the machine ended without an exit status (qemu's was {emulator.returncode})"
        sys.stderr.write("\n".join([f"vm: {said}; the end of its kernel's log:", *log[-_LOG_LINES:], ""]))
        return None


def _qemu(tree: image.Tree, place: Path, accelerator: str) -> Iterator[str]:
    yield from (QEMU, "-accel", accelerator, "-M", "q35", "-cpu", "host" if accelerator == "kvm" else "max")
    yield from ("-smp", "1", "-m", str(MEMORY_MEGABYTES))
    yield from ("-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-nic", "none")
    yield from ("-kernel", str(tree.vmlinux), "-initrd", _escaped(place / "initramfs"))
    yield from ("-append", " ".join(_KERNEL_ARGUMENTS))
    yield from ("-serial", f"file:{_escaped(place / 'kernel.log')}", "-device", "virtio-rng-pci")
    for name, path in (("root", Path("/")), ("tree", tree.root)):
        options = "security_model=none,readonly=on,multidevs=remap"
        yield from ("-fsdev", f"local,id={name},path={_escaped(path)},{options}")
        yield from ("-device", f"virtio-9p-pci,fsdev={name},mount_tag={name}")
    yield from ("-device", "virtio-serial-pci")
    for name in ("status", "results"):
        yield from ("-chardev", f"file,id={name},path={_escaped(place / name)}")


def _console(program: Program) -> Iterator[str]:
    yield from ("-chardev", f"stdio,id=console,signal={'off' if program.interactive else 'on'}")
    for name in ("console", "status", "results"):  # hvc0, hvc1, hvc2
        yield from ("-device", f"virtconsole,chardev={name}")


def _escaped(path: Path) -> str:
    """Return *path* as qemu's options want it: a comma ends a value, two are one."""
    return str(path).replace(",", ",,")


def _job(program: Program) -> str:
    """Return the script that runs *program* and powers off: the first process of the root file system."""
    variables = {"PATH": PATH, "HOME": HOME, **program.env}
    environment = " ".join(f"{name}={shlex.quote(value)}" for name, value in variables.items())
    size = shutil.get_terminal_size()
    terminal = f"sane rows {size.lines} cols {size.columns}" if program.interactive else "raw -echo"
    stdin = "/dev/hvc0" if program.interactive else "/dev/null"
    bring = (  # the console forgets how it was set when nobody has it open, and tar writes to none
        f"{{ stty raw -echo <&3 && tar -cf - -C {shlex.quote(program.makes)} . | cat >&3; }} 3<>/dev/hvc2"
        if program.makes
        else ":"
    )
    return f"""#!/bin/sh
exec >/dev/hvc0 2>&1
export {environment}
for link in fd:/proc/self/fd stdin:fd/0 stdout:fd/1 stderr:fd/2; do ln -s "${{link#*:}}" "/dev/${{link%%:*}}"; done
mount --make-rshared /
hostname vm
rm -f /etc/resolv.conf && : >/etc/resolv.conf  # it may be a link into a /run that is not here
ip link set lo up
stty {terminal} </dev/hvc0
cd {shlex.quote(str(program.directory))} &&
setsid {"--ctty " if program.interactive else ""}--wait {shlex.join(program.argv)} <{stdin}
status=$?
{bring}
echo $status >/dev/hvc1
exec busybox poweroff -f
"""


def _take_out(archive: Path, directory: Path) -> None:
    """Unpack the files that came out of the machine, without directories; none when the program made none."""
    with contextlib.suppress(tarfile.ReadError), tarfile.open(archive, "r:") as content:
        directory.mkdir(parents=True, exist_ok=True)
        for member in content:
            found = content.extractfile(member)
            if found is not None:
                (directory / Path(member.name).name).write_bytes(found.read())


@contextlib.contextmanager
def _terminal_kept() -> Iterator[None]:
    """Give the terminal back as it was: qemu changes it, and one that is killed leaves it so."""
    if not sys.stdin.isatty():
        yield
        return
    before = termios.tcgetattr(sys.stdin)
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)
