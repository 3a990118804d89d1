"""Record what a kernel shows of links of many kinds, for the tests of classification.

Run it as root where nothing can be harmed, with the package importable::

    tools/isolate sh -c 'mount -t sysfs sysfs /sys && PYTHONPATH=src python tests/data/links/record.py'

Kinds that the running kernel cannot make are told and left alone. Radios and USB show in the first network namespace
only: for these run it, without ``tools/isolate``, in a virtual machine with a kernel that has the modules, with the
checkout shared into it. Names after the command record only these cases.

A case is a directory. ``expected.toml`` is written by hand: what the case is about, the shell commands that make it,
and what it should be classified as. The rest is recorded:

``link.hex``
    The payload of the kernel's RTM_NEWLINK message.
``master.hex``
    The same of the link's master, if it has one.
``radios.hex``
    Payloads of nl80211's interface messages, one in a line, if there are radios.
``tree.json``
    What sysfs and procfs showed: path to contents, or to ``{"link": TARGET}`` for a symbolic link.

A case that says ``recorded = false`` needs hardware that cannot be had here. Its message and tree are written from the
documents and drivers named as its source.
"""

import fcntl
import json
import os
import select
import signal
import struct
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

from icshare.errors import HostError, IcshareError
from icshare.host.command import PIPE, start
from icshare.host.netlink import NetlinkSocket
from icshare.model.link import Link
from icshare.wire import genetlink, nl80211, rtnetlink

HERE = Path(__file__).parent
SECONDS = 60
Tree = dict[str, str | dict[str, str]]
_ARPHRD_PPP = 512


def main(names: list[str]) -> None:
    for name in names or sorted(path.parent.name for path in HERE.glob("*/expected.toml")):
        case = tomllib.loads((HERE / name / "expected.toml").read_text(encoding="utf-8"))
        if not case["recorded"]:
            continue
        try:
            _record(name, case["link"], case["made_by"])
        except (IcshareError, OSError) as error:
            sys.stdout.write(f"{name}: not here: {error}\n")
        else:
            sys.stdout.write(f"{name}: recorded\n")
        sys.stdout.flush()


def hold(name: str, mode: str, what: str) -> None:
    """Keep a tun or tap link until a signal comes, with a hardware type or under the name of a program."""
    tun = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(tun, 0x400454CA, struct.pack("16sH22x", name.encode(), (1 if mode == "tun" else 2) | 0x1000))
    if what.isdigit():
        fcntl.ioctl(tun, 0x400454CD, int(what))  # TUNSETLINK
    else:
        Path("/proc/self/comm").write_text(what, encoding="ascii")
    signal.pause()


def _record(name: str, link_name: str, script: str) -> None:
    environment = {"PYTHON": sys.executable, "RECORD": __file__, "PYTHONPATH": os.environ.get("PYTHONPATH", "")}
    text = f"set -e\n{script}\necho made\nexec sleep 600"
    before = _names()
    maker = start(["sh", "-c", text], env=environment, stdout=PIPE, stderr=None)
    assert maker.stdout is not None
    try:
        ready, _, _ = select.select([maker.stdout], [], [], SECONDS)
        if not ready or b"made" not in os.read(maker.stdout.fileno(), 64):
            raise HostError(f"its commands failed or took {SECONDS} seconds")
        _write(HERE / name, link_name)
    finally:
        os.killpg(maker.pid, signal.SIGTERM)
        maker.wait()
        maker.stdout.close()
        _remove(before)


def _names() -> set[str]:
    with NetlinkSocket() as kernel:
        return {link.name for link in kernel.links()}


def _remove(before: set[str]) -> None:
    start(["ip", "netns", "delete", "other"]).wait()
    for name in sorted(_names() - before):
        start(["ip", "link", "delete", name]).wait()


def _write(directory: Path, link_name: str) -> None:
    with NetlinkSocket() as kernel:
        payloads = {
            one.name: message.payload
            for message in kernel.dump(rtnetlink.dump_links())
            for one in (rtnetlink.parse_link(message.payload),)
        }
    if link_name not in payloads:
        raise HostError(f"there is no link {link_name} among {', '.join(payloads)}")
    links = {one.index: one for one in map(rtnetlink.parse_link, payloads.values())}
    link = rtnetlink.parse_link(payloads[link_name])
    _lines(directory / "link.hex", [payloads[link_name]])
    if link.master is not None:
        _lines(directory / "master.hex", [payloads[links[link.master].name]])
    radios = list(_radios())
    if radios and not link.kind:
        _lines(directory / "radios.hex", radios)
    tree = dict(sorted(_tree(link).items()))
    (directory / "tree.json").write_text(json.dumps(tree, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _lines(path: Path, payloads: list[bytes]) -> None:
    path.write_text("".join(f"{payload.hex()}\n" for payload in payloads), encoding="ascii")


def _radios() -> Iterator[bytes]:
    try:
        with NetlinkSocket(genetlink.NETLINK_GENERIC) as kernel:
            family = genetlink.parse_family(kernel.request(genetlink.get_family(nl80211.FAMILY))[0].payload)
            for message in kernel.dump(nl80211.dump_interfaces(family)):
                yield message.payload
    except HostError:
        return


def _tree(link: Link) -> Tree:
    tree: Tree = {}
    shown = Path("/sys/class/net") / link.name
    real = shown.resolve()
    _add(tree, shown)
    for name in ("ifindex", "type", "address", "uevent", "tun_flags", "device", "phy80211"):
        _add(tree, real / name)
    _add(tree, (real / "device").resolve() / "driver")
    _add(tree, Path("/proc/self/ns/net"))
    if link.type == _ARPHRD_PPP or not link.kind:
        _add(tree, Path("/proc/net/pppoe"))
        _add(tree, Path("/run") / f"{link.name}.pid")
    for process in Path("/proc").glob("[0-9]*"):
        _add_process(tree, process, link)
    return tree


def _add_process(tree: Tree, process: Path, link: Link) -> None:
    try:
        command = (process / "comm").read_text(encoding="utf-8").strip()
        held = [fd for fd in (process / "fd").iterdir() if link.kind == "tun" and str(fd.readlink()) == "/dev/net/tun"]
    except OSError:  # it ended meanwhile
        return
    for fd in held:
        _add(tree, fd)
        _add(tree, process / "fdinfo" / fd.name)
    wanted = command == "pppd" and link.kind in {"ppp", ""} and link.type == _ARPHRD_PPP
    if held or wanted:
        for name in ("comm", "ns/net", *(("cmdline",) if wanted else ())):
            _add(tree, process / name)
    while wanted and process.name not in {"0", "1"}:
        _add(tree, process / "comm")
        _add(tree, process / "stat")
        process = Path("/proc") / (process / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()[1]


def _add(tree: Tree, path: Path) -> None:
    try:
        tree[str(path)[1:]] = {"link": str(path.readlink())} if path.is_symlink() else path.read_text(encoding="utf-8")
    except OSError:  # not every link has every attribute
        return


if __name__ == "__main__":
    if sys.argv[1:2] == ["hold"]:
        hold(*sys.argv[2:5])
    else:
        main(sys.argv[1:])
