"""Give each node of a lab its own view of the machine: a program that is told the nodes on standard input.

It prints the pid of the keeper and where that holds each node's namespaces, and goes into the background.

Theory of operation
-------------------
A network namespace alone is a poor machine. ``/sys/class/net`` shows the host's links, DHCP clients rewrite the host's
``/etc/resolv.conf`` and share one ``/run`` and one ``/var/lib/dhcp``, and all hosts have the same name. So each node
also gets a mount namespace and a UTS namespace:

==============  ===========================================================================================
``/sys``        a sysfs of the node's network namespace
``/run``        an empty directory of the node
``/etc``        the host's, entry by entry through symbolic links to a read-only view; own files where listed
``/var/lib``    the host's through symbolic links; own empty directories where listed
``/var/log``    an empty directory of the node
host name       the node's name
==============  ===========================================================================================

Everything else is the host's. The own directories lie in the lab's directory, where tests can look into them from
outside.

For each node a child is forked; it enters the network namespace, makes the other two and mounts. The parent opens
``/proc/<child>/ns/{mnt,uts}``, and the child goes. The parent, the *keeper*, then holds all these descriptors for as
long as the lab lives: ``nsenter --mount=/proc/<keeper>/fd/<N>`` brings any command in, in some 3 ms. It has entered the
Internet's network namespace first of all, so whoever ends the processes in the lab's namespaces ends it too, and
then nothing is left to unmount.

Rejected: bind mounts of ``/proc/<child>/ns/mnt``, as ``unshare --mount=FILE`` makes them. The kernel takes only those
of a namespace younger than its own, by number, and since Linux 6.18 each CPU counts for itself: on a machine with two
of them it failed every other time in a fresh mount namespace.

Mounts of the nodes are slaves of the host's: none of ours is seen outside, and what the host unmounts goes away here.

This is a program of its own, with nothing but the standard library, because the caller may have threads, which do not
survive a fork. Python 3.12 would bring ``os.unshare`` and ``os.setns``; with 3.11 libc is called directly.

Sources: mount_namespaces(7), uts_namespaces(7), mount(2), setns(2).
"""

import ctypes
import json
import os
import resource
import signal
import sys
from pathlib import Path
from typing import TypedDict

CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWNET = 0x40000000

MS_RDONLY = 0x1
MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_NOEXEC = 0x8
MS_REMOUNT = 0x20
MS_BIND = 0x1000
MS_REC = 0x4000
MS_SLAVE = 0x80000

# The host's directory that a node sees through links, and the names below it that are the node's own.
ETC_OWN_DIRECTORIES = ("icshare",)
VAR_LIB_OWN_DIRECTORIES = ("NetworkManager", "dhcp", "dhcpcd", "misc")
VAR_LIB_HIDDEN = ("icshare",)
# Below /run of a node: where the links lead to. Relative links inside of /etc (../usr/lib/...) must find a root there.
HOST_VIEW = "host"
HOST_VIEW_ROOT = ("bin", "lib", "lib64", "opt", "sbin", "usr", "var")

_DONE = b"\n"

_libc = ctypes.CDLL(None, use_errno=True)


class NodeView(TypedDict):
    """One node.

    Attributes:
        name: Host name.
        netns: Path of its network namespace.
        root: Directory of its own files.
        resolv_conf: First content of its ``/etc/resolv.conf``.
        sysctls: Path below ``/proc/sys`` -> value.
    """

    name: str
    netns: str
    root: str
    resolv_conf: str
    sysctls: dict[str, str]


class Kept(TypedDict):
    """The keeper.

    Attributes:
        pid: Its process.
        mnt: Node -> its descriptor of the node's mount namespace.
        uts: Node -> its descriptor of the node's UTS namespace.
    """

    pid: int
    mnt: dict[str, int]
    uts: dict[str, int]


def main() -> int:
    """Make the views that standard input asks for; print the reason and return 1 when one cannot be made."""
    nodes: list[NodeView] = json.load(sys.stdin)
    # Three descriptors for each node, and 64 links may have 8 clients each.
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        _enter_network(nodes[0]["netns"])
        kept = _make_all(nodes)
    except OSError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    _keep(kept)
    return 0


def _keep(kept: Kept) -> None:
    """Say where everything is, and hold it in the background until a signal."""
    pid = os.fork()
    if pid:
        sys.stdout.write(json.dumps({**kept, "pid": pid}))
        sys.stdout.flush()
        os._exit(0)
    os.setsid()
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(null, stream)
    signal.pause()


def _make_all(nodes: list[NodeView]) -> Kept:
    # The children live until their namespaces are opened, or until we die: then the pipe that holds them closes.
    held, holder = os.pipe()
    children = [_fork(node, held, holder) for node in nodes]
    kept = Kept(pid=0, mnt={}, uts={})
    failures = []
    for node, (pid, report) in zip(nodes, children, strict=True):
        said = os.read(report, 4096)
        os.close(report)
        if said == _DONE:
            kept["mnt"][node["name"]] = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY)
            kept["uts"][node["name"]] = os.open(f"/proc/{pid}/ns/uts", os.O_RDONLY)
        else:
            failures.append(f"node {node['name']}: {said.decode() or 'died early'}")
    os.close(holder)
    os.close(held)
    for pid, _ in children:
        os.waitpid(pid, 0)
    if failures:
        raise OSError(failures[0])
    return kept


def _fork(node: NodeView, held: int, holder: int) -> tuple[int, int]:
    """Start a child that makes *node*'s view; return its pid and the pipe on which it reports."""
    report, reporter = os.pipe()
    pid = os.fork()
    if pid:
        os.close(reporter)
        return pid, report
    os.close(holder)
    try:
        _make(node)
        os.write(reporter, _DONE)
        os.read(held, 1)
    except OSError as error:
        os.write(reporter, str(error).encode())
    finally:
        os._exit(0)


def _make(node: NodeView) -> None:
    _enter_network(node["netns"])
    _check(_libc.unshare(CLONE_NEWNS | CLONE_NEWUTS), "make a mount and a UTS namespace")
    name = node["name"].encode()
    _check(_libc.sethostname(name, len(name)), "set the host name")
    _mount(None, "/", None, MS_REC | MS_SLAVE)
    read_only = os.statvfs("/sys").f_flag & os.ST_RDONLY
    _mount("sysfs", "/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC | (MS_RDONLY if read_only else 0))
    _shadow(Path(node["root"]), node["resolv_conf"])
    for key, value in node["sysctls"].items():
        (Path("/proc/sys") / key).write_text(value)


def _enter_network(path: str) -> None:
    namespace = os.open(path, os.O_RDONLY)
    _check(_libc.setns(namespace, CLONE_NEWNET), f"enter {path}")
    os.close(namespace)


def _shadow(root: Path, resolv_conf: str) -> None:
    """Lay *root*'s ``etc``, ``var-lib``, ``var-log`` and ``run`` over the host's."""
    run, etc, var_lib, var_log = root / "run", root / "etc", root / "var-lib", root / "var-log"
    host_etc, host_var_lib = run / HOST_VIEW / "etc", run / HOST_VIEW / "var-lib"
    for directory in (run, etc, var_lib, var_log, host_etc, host_var_lib):
        directory.mkdir(parents=True, exist_ok=True)
    for name in HOST_VIEW_ROOT:
        (run / HOST_VIEW / name).symlink_to(f"/{name}")
    _mirror(Path("/etc"), etc, f"/run/{HOST_VIEW}/etc", own=ETC_OWN_DIRECTORIES, hide=("resolv.conf",))
    (etc / "resolv.conf").write_text(resolv_conf)
    _hide_groups(etc)
    _mirror(
        Path("/var/lib"),
        var_lib,
        f"/run/{HOST_VIEW}/var-lib",
        own=VAR_LIB_OWN_DIRECTORIES,
        hide=VAR_LIB_HIDDEN,
    )
    (run / "lock").mkdir(mode=0o1777)
    _mount("/etc", str(host_etc), None, MS_BIND | MS_REC)
    # A remount in a user namespace must keep what is locked: the flags of the mount it came from.
    locked = os.statvfs(host_etc).f_flag & (os.ST_NOSUID | os.ST_NODEV | os.ST_NOEXEC)
    _mount(None, str(host_etc), None, MS_REMOUNT | MS_BIND | MS_RDONLY | locked)
    _mount("/var/lib", str(host_var_lib), None, MS_BIND | MS_REC)
    _mount(str(etc), "/etc", None, MS_BIND)
    _mount(str(var_lib), "/var/lib", None, MS_BIND)
    _mount(str(var_log), "/var/log", None, MS_BIND)
    _mount(str(run), "/run", None, MS_BIND | MS_REC)  # last: the lab's directory is often below /run


def _hide_groups(etc: Path) -> None:
    """Let dnsmasq run in a user namespace that was made without privilege.

    There ``setgroups`` is denied for good (it could shed a group that an ACL denies something to). dnsmasq calls it
    for the group ``dip``, or else the group of its user, and gives up when refused; but it does without when it
    finds neither. So the node's group file has neither, and no other source of groups is asked: nss-systemd would
    make up ``root``.

    Source: user_namespaces(7), ``/proc/[pid]/setgroups``; nsswitch.conf(5).
    """
    if Path("/proc/self/setgroups").read_text().strip() != "deny":
        return
    groups = [line for line in _lines("/etc/group") if not line.startswith(("dip:", "root:"))]
    sources = ["group: files\n" if line.startswith("group:") else line for line in _lines("/etc/nsswitch.conf")]
    for name, lines in (("group", groups), ("nsswitch.conf", sources)):
        (etc / name).unlink(missing_ok=True)  # the link to the host's
        (etc / name).write_text("".join(lines))


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines(keepends=True) if Path(path).exists() else []


def _mirror(host: Path, own_copy: Path, host_view: str, *, own: tuple[str, ...], hide: tuple[str, ...] = ()) -> None:
    """Fill *own_copy* with links to the entries of *host*, seen at *host_view*, and empty directories for *own*."""
    for name in own:
        (own_copy / name).mkdir()
    for entry in os.scandir(host):
        if entry.name not in own and entry.name not in hide:
            # A link is copied, so that a relative one still leads to where it did.
            target = str(Path(entry.path).readlink()) if entry.is_symlink() else f"{host_view}/{entry.name}"
            (own_copy / entry.name).symlink_to(target)


def _mount(source: str | None, target: str, kind: str | None, flags: int) -> None:
    def encoded(text: str | None) -> bytes | None:
        return None if text is None else text.encode()

    status = _libc.mount(encoded(source), encoded(target), encoded(kind), ctypes.c_ulong(flags), None)
    _check(status, f"mount {source or 'flags'} on {target}")


def _check(status: int, what: str) -> None:
    if status != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"cannot {what}: {os.strerror(number)}")


if __name__ == "__main__":
    sys.exit(main())
