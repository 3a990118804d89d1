"""Make and remove a lab: the only code here that changes the machine.

Theory of operation
-------------------
A lab owns one directory, which ``mkdir`` gives to one process only, and the network namespaces that its state file
names before the first is made. Building goes through namespaces, views, links, addresses, servers. Removing never
asks how far that went: it ends the processes in the namespaces, among them the keeper of the views, removes the
namespaces (the kernel takes their links along) and then the directory, the state file last of all. Each part may be
missing. So removing half a lab, or one twice, is nothing special.

Removing deletes a directory tree as root. Should a mount still be below it, nothing is deleted.
"""

import contextlib
import importlib.util
import json
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from icshare.errors import ConflictError, HostError, NotSupportedError
from icshare.host import command
from icshare.lab import plan as p
from icshare.lab import processes, topology
from icshare.lab.plan import LabPlan, NodeName
from icshare.lab.state import Keeper, LabState, Phase, Service, save

if TYPE_CHECKING:  # they run as programs; importing them would cost every command 20 ms
    from icshare.lab.views import Kept, NodeView

NETNS = Path("/run/netns")
NODES = "nodes"

# Own directories hide what is below; a command that starts there would not find its working directory.
_HIDDEN = ("/run", "/var/lib", "/var/log")
_PROGRAMS = ("ip", "nsenter", "dnsmasq")
# Only a machine that hangs takes as long as this.
_TIMEOUT_SECONDS = 60.0


def claim(directory: Path, plan: LabPlan) -> None:
    """Make the lab's *directory*, which nobody else may have, and make sure that its namespaces' names are free.

    Raises:
        ConflictError: The lab exists, or a namespace that has one of its names. Nothing was touched.
    """
    while True:
        directory.parent.mkdir(parents=True, exist_ok=True)
        try:
            directory.mkdir()
        except FileNotFoundError:  # the last lab of this base went down and took it along
            continue
        except FileExistsError as error:
            raise ConflictError(
                f"the lab {plan.prefix} exists already", hint="take it down first, or choose another prefix"
            ) from error
        break
    taken = [name for name in map(plan.namespace, plan.nodes) if (NETNS / name).exists()]
    if taken:
        _remove_directory(directory)
        raise ConflictError(
            f"there are network namespaces with the lab's names: {', '.join(taken)}", hint="choose another prefix"
        )


def build(directory: Path, plan: LabPlan) -> LabState:
    """Build the lab into its claimed *directory* and return its state; all servers answer by then.

    Raises:
        HostError: The machine refused a part; what was made is still there, for `remove`.
        NotSupportedError: A program or a feature of the kernel is missing.
    """
    save(directory, LabState(phase=Phase.BUILDING, plan=plan))
    if plan.ftp and importlib.util.find_spec("pyftpdlib") is None:
        raise NotSupportedError("the lab's FTP server needs pyftpdlib", hint="pip install pyftpdlib")
    for program in _PROGRAMS:
        command.find_program(program)
    _batch(topology.namespaces(plan))
    keeper = _make_views(directory, plan)
    _batch(topology.links(plan))
    for node in plan.nodes:
        _batch(topology.configuration(plan, node), namespace=plan.namespace(node))
    settle(plan, topology.carriers(plan))
    state = LabState(phase=Phase.UP, plan=plan, keeper=keeper)
    state = msgspec.structs.replace(state, services=_start_services(directory, state))
    save(directory, state)
    return state


def settle(plan: LabPlan, links: Mapping[NodeName, Sequence[str]]) -> None:
    """Wait until the kernel carries packets on *links*, which are up at both ends.

    Raises:
        HostError: One of them has no carrier.
    """
    named = {str(NETNS / plan.namespace(node)): names for node, names in links.items()}
    command.run(_program("settle.py"), input=json.dumps(named), timeout=_TIMEOUT_SECONDS)


def remove(directory: Path, state: LabState | None) -> None:
    """Remove the lab in *directory* as far as it was built, with every process in its namespaces.

    Raises:
        HostError: Something of it cannot be removed; the rest is left for another try.
    """
    if state is not None:
        present = tuple(name for name in state.names().values() if (NETNS / name).exists())
        found = frozenset((info.st_dev, info.st_ino) for info in ((NETNS / name).stat() for name in present))
        processes.end_those_in(found - {processes.namespace_of(os.getpid()) or (0, 0)})
        if present:
            command.run(["ip", "-force", "-batch", "-"], input=topology.removal(present), timeout=_TIMEOUT_SECONDS)
    _remove_directory(directory)


def entry(state: LabState, node: NodeName, argv: Sequence[str], *, working_directory: Path) -> list[str]:
    """Return the argument vector that runs *argv* on *node*, in *working_directory* where the node has it.

    Raises:
        HostError: The keeper of the node's namespaces has ended.
    """
    keeper = state.keeper
    if keeper is None or not processes.is_running(keeper.pid, keeper.started):
        raise HostError(f"the lab {state.plan.prefix} has lost its keeper process", hint="take it down and up again")
    held = f"/proc/{keeper.pid}/fd"
    hidden = any(working_directory.is_relative_to(place) for place in _HIDDEN)
    return [
        "nsenter",
        f"--net={NETNS / state.plan.namespace(node)}",
        f"--mount={held}/{keeper.mnt[node]}",
        f"--uts={held}/{keeper.uts[node]}",
        f"--wdns={'/' if hidden else working_directory}",
        "--",
        *argv,
    ]


def own_directory(directory: Path, node: NodeName) -> Path:
    """Return where *node*'s own ``run``, ``etc``, ``var-lib`` and ``var-log`` are, seen from the host."""
    return directory / NODES / node


def mounts_below(directory: Path) -> list[str]:
    """Return the mount points at or below *directory*, in the order in which they were mounted.

    Source: proc(5), ``/proc/[pid]/mountinfo``: field 5, with space, tab, line feed and backslash in octal.
    """
    found = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        point = line.split()[4].encode().decode("unicode_escape").encode("latin-1").decode(errors="surrogateescape")
        if Path(point).is_relative_to(directory):
            found.append(point)
    return found


def _batch(lines: str, *, namespace: str | None = None) -> None:
    where = [] if namespace is None else ["-n", namespace]
    command.run(["ip", *where, "-batch", "-"], input=lines, timeout=_TIMEOUT_SECONDS)


def _make_views(directory: Path, plan: LabPlan) -> Keeper:
    request: list[NodeView] = [
        {
            "name": node,
            "netns": str(NETNS / plan.namespace(node)),
            "root": str(own_directory(directory, node)),
            "resolv_conf": topology.resolv_conf(node),
            "sysctls": topology.kernel_settings(node),
        }
        for node in plan.nodes
    ]
    answer = command.run(_program("views.py"), input=json.dumps(request), timeout=_TIMEOUT_SECONDS)
    kept: Kept = json.loads(answer.stdout)
    return Keeper(pid=kept["pid"], started=_started(kept["pid"], "keeper"), mnt=kept["mnt"], uts=kept["uts"])


def _start_services(directory: Path, state: LabState) -> tuple[Service, ...]:
    """Start the Internet's servers. Each returns when it is bound, so no waiting is needed here."""
    run, plan = own_directory(directory, p.INTERNET) / "run", state.plan
    (run / "dnsmasq.conf").write_text(topology.dnsmasq_conf())
    _run_on(state, p.INTERNET, ["dnsmasq", "--conf-file=/run/dnsmasq.conf"])
    started = [_service("dns", p.INTERNET, (run / "dnsmasq.pid").read_text())]
    served = [f"--web={p.WEB_ADDRESS}", f"--echo={p.ECHO_ADDRESS}"]
    if plan.ftp:
        (run / "ftp").mkdir()
        served += [f"--ftp={p.FTP_ADDRESS}", "--ftp-root=/run/ftp"]
    started.append(_start_servers(state, p.INTERNET, served))
    if plan.far_mtu is not None:
        started.append(_start_servers(state, p.FAR, [f"--web={p.FAR_ADDRESS}", f"--echo={p.FAR_ADDRESS}"]))
    return tuple(started)


def _start_servers(state: LabState, node: NodeName, served: list[str]) -> Service:
    program = _program("services.py", site_packages=state.plan.ftp)
    return _service("servers", node, _run_on(state, node, [*program, "--log=/run/seen.jsonl", *served]))


def _service(name: str, node: NodeName, pid: str) -> Service:
    return Service(name=name, node=node, pid=int(pid), started=_started(int(pid), f"server {name} on {node}"))


def _started(pid: int, what: str) -> int:
    found = processes.start_time(pid)
    if found is None:
        raise HostError(f"the lab's {what} ended right after its start")
    return found


def _run_on(state: LabState, node: NodeName, argv: list[str]) -> str:
    return command.run(entry(state, node, argv, working_directory=Path("/")), timeout=_TIMEOUT_SECONDS).stdout


def _program(file: str, *, site_packages: bool = False) -> list[str]:
    """Return how to run our neighbour *file* as a program, alone: no user's variables, no import of icshare."""
    return [sys.executable, "-I" if site_packages else "-IS", str(Path(__file__).with_name(file))]


def _remove_directory(directory: Path) -> None:
    left = mounts_below(directory)
    if left:
        raise HostError(f"cannot remove {directory}: still mounted: {', '.join(left)}", hint="umount them by hand")
    state_file = directory / "lab.json"
    for entry_ in directory.iterdir() if directory.exists() else ():
        if entry_ != state_file:
            shutil.rmtree(entry_) if entry_.is_dir() and not entry_.is_symlink() else entry_.unlink()
    state_file.unlink(missing_ok=True)
    with contextlib.suppress(FileNotFoundError):
        directory.rmdir()
    with contextlib.suppress(OSError):  # other labs are in it, or it is gone
        directory.parent.rmdir()
