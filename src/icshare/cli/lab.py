"""``icshare lab``: a virtual Internet, a gateway and clients to play with."""

import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from icshare.cli.errors import FAILED, CancelledError
from icshare.cli.lazy import App
from icshare.cli.options import Json, Verbose
from icshare.cli.output import Cell, Printer, write_json
from icshare.cli.session import Session, session_of
from icshare.cli.signals import Interrupted, interruptible

if TYPE_CHECKING:
    from icshare.cli.labschema import LabDocument
    from icshare.lab import LabPlan, LabStatus

app = App(help="A virtual Internet, a gateway and clients to play with.")

_DEFAULT_PREFIX = "icslab"  # as icshare.lab.DEFAULT_PREFIX, whose import takes too long for --help

_SUDO_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"  # sudoers(5), secure_path of Debian
_DRAWN_LINKS = 4

Prefix = Annotated[
    str, typer.Option(metavar="NAME", help="Name of the lab: several can be up, each with a name of its own.")
]


def _complete_node(context: typer.Context, incomplete: str) -> list[str]:
    """Return the nodes of the lab that is meant."""
    from icshare.errors import IcshareError
    from icshare.lab import Lab, lab_name

    try:
        nodes = Lab.open(lab_name(context.params.get("prefix") or _DEFAULT_PREFIX)).plan.nodes
    except (IcshareError, OSError):
        return []  # a shell that is completing has no place for an error
    return [node for node in nodes if node.startswith(incomplete)]


def up(
    context: typer.Context,
    prefix: Prefix = _DEFAULT_PREFIX,
    privates: Annotated[int, typer.Option(metavar="N", help="Private links of the gateway, a client on each.")] = 2,
    second_uplink: Annotated[bool, typer.Option("--second-uplink", help="Give the gateway wan1 as well.")] = False,
    mtu: Annotated[int, typer.Option(metavar="BYTES", help="MTU of the public links.")] = 1500,
    json: Json = False,
    _verbose: Verbose = 0,
) -> None:
    """Build a lab, in network namespaces."""
    from icshare.lab import Lab, LabPlan, lab_name

    session = session_of(context)
    plan = LabPlan(prefix=lab_name(prefix), privates=privates, second_uplink=second_uplink, mtu=mtu)
    with session.progress("building the lab", quiet=json):
        try:
            with interruptible():
                lab = Lab.up(plan)
        except Interrupted as interruption:
            raise CancelledError("interrupted; what was built is removed", interruption.number) from interruption
    if json:
        write_json(session.stdout, _document(lab.status()))
    else:
        _print_lab(session, plan)


def down(context: typer.Context, prefix: Prefix = _DEFAULT_PREFIX, json: Json = False, _verbose: Verbose = 0) -> None:
    """Remove a lab, with every process in it; half a lab, too."""
    from icshare.lab import find_labs, lab_name, take_down

    session = session_of(context)
    name = lab_name(prefix)
    there = name in find_labs()
    take_down(name)
    if json:
        from icshare.cli.labschema import LabDownDocument

        write_json(session.stdout, LabDownDocument(prefix=name, removed=there))
    elif there:
        session.out.line(Cell(f"The lab {name} is gone.", "bold"))
    else:
        session.out.line(f"There is no lab {name}, so nothing had to be removed.")


def run(
    context: typer.Context,
    node: Annotated[
        str,
        typer.Argument(metavar="NODE", show_default=False, autocompletion=_complete_node, help="inet, gw, c0, c1, ..."),
    ],
    command: Annotated[
        list[str], typer.Argument(metavar="COMMAND", show_default=False, help="A program and its arguments.")
    ],
    prefix: Prefix = _DEFAULT_PREFIX,
    json: Json = False,
    _verbose: Verbose = 0,
) -> None:
    """Run a command on a node of a lab.

    Options of icshare stand before NODE; what follows it is the command's, and so is the exit status. The command
    icshare is this very icshare.
    """
    from icshare.cli.labschema import LabExecDocument
    from icshare.host.command import find_program
    from icshare.lab import Lab, lab_name
    from icshare.lab.lab import need_root

    session = session_of(context)
    lab = Lab.open(lab_name(prefix))
    need_root()
    argv = [sys.executable, "-m", "icshare.cli.main", *command[1:]] if command[0] == "icshare" else command
    if not json:
        if "/" not in argv[0]:
            find_program(argv[0])
        lab.exec(node, argv)
    done = lab.run(node, argv, env=_python_path(), check=False)
    document = LabExecDocument(
        node=node, command=tuple(command), exit_status=done.returncode, stdout=done.stdout, stderr=done.stderr
    )
    write_json(session.stdout, document)
    if done.returncode != 0:
        raise typer.Exit(done.returncode if done.returncode > 0 else 128 - done.returncode)


def status(
    context: typer.Context,
    prefix: Annotated[str, typer.Option(metavar="NAME", help="Only this lab. [default: every lab]")] = "",
    json: Json = False,
    _verbose: Verbose = 0,
) -> None:
    """Show which labs are up, and whether all of them is there.

    The exit status is 1 when a part of a lab is missing, 0 when there is none.
    """
    from icshare.lab import find_labs, lab_name
    from icshare.lab import status as lab_status

    session = session_of(context)
    names = [lab_name(prefix)] if prefix else find_labs()
    found = [known for known in map(lab_status, names) if known is not None]
    if json:
        from icshare.cli.labschema import LabStatusDocument

        write_json(session.stdout, LabStatusDocument(labs=tuple(map(_document, found))))
    elif found:
        for number, one in enumerate(found):
            if number:
                session.out.line()
            _print_status(session.out, one)
    else:
        session.out.line(f"There is no lab {prefix}." if prefix else "There is no lab.")
    if not all(one.healthy for one in found):
        raise typer.Exit(FAILED)


def _python_path() -> dict[str, str]:
    """Return what our own interpreter needs to find icshare in an environment that is made from nothing."""
    import icshare

    return {"PYTHONPATH": str(Path(icshare.__file__).parents[1])}


def own_program() -> str:
    """Return how a user calls this program: by its name where sudo finds it, else by its path."""
    path = Path(sys.argv[0]).absolute()
    if path.name != "icshare" or shutil.which("icshare", path=_SUDO_PATH):
        return "icshare"
    return shlex.quote(str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path))


app.command("up")(up)
app.command("down")(down)
app.command("exec", context_settings={"allow_interspersed_args": False})(run)
app.command("status")(status)


def can_show(session: Session, text: str) -> bool:
    """Tell whether the encoding of what is printed knows all characters of *text*."""
    try:
        text.encode(session.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        return False
    return True


def print_drawing(session: Session, drawing: str) -> None:
    """Print a drawing, with plain characters where others cannot be shown."""
    from icshare.lab.drawing import to_ascii

    for line in (drawing if can_show(session, drawing) else to_ascii(drawing)).splitlines():
        session.out.line(" " + line)


def _print_lab(session: Session, plan: "LabPlan") -> None:
    from icshare.lab.drawing import draw

    out = session.out
    option = "" if plan.prefix == _DEFAULT_PREFIX else f"--prefix {plan.prefix} "
    lab = f"{own_program()} lab"
    privates = " ".join(f"lan{number}" for number in range(min(plan.privates, _DRAWN_LINKS)))
    out.line(Cell(f"The lab {plan.prefix} is up.", "bold"))
    out.line()
    print_drawing(session, draw(plan))
    out.line()
    out.line("Try:")
    for command in (
        f"gw icshare share wan0 {privates}",
        "c0 udhcpc -n -q -i eth0 -x hostname:c0",
        "c0 curl http://www.example.net/",
    ):
        out.line("  ", Cell(f"{lab} exec {option}{command}", "bold"))
    out.line("To remove it:")
    out.line("  ", Cell(f"{lab} down {option}".rstrip(), "bold"))


def _print_status(out: Printer, lab: "LabStatus") -> None:
    outcome = Cell("up", "green") if lab.healthy else Cell("not whole", "bold red")
    out.line(Cell(f"{lab.prefix}: ", "bold"), outcome)
    rows: list[list[str | Cell]] = []
    for node in lab.nodes:
        running = [f"{one.name} ({one.pid})" for one in lab.services if one.node == node.node and one.running]
        ended = [f"{one.name} has ended" for one in lab.services if one.node == node.node and not one.running]
        state = Cell("there", "green") if node.present else Cell("missing", "bold red")
        rows.append([Cell(node.node, "bold"), node.namespace, state, ", ".join([*running, *ended])])
    out.table(("Node", "Namespace", "State", "Processes"), rows)


def _document(lab: "LabStatus") -> "LabDocument":
    from icshare.cli import labschema as schema

    return schema.LabDocument(
        prefix=lab.prefix,
        healthy=lab.healthy,
        directory=str(lab.directory),
        nodes=tuple(
            schema.NodeDocument(name=one.node, namespace=one.namespace, present=one.present) for one in lab.nodes
        ),
        services=tuple(
            schema.ServiceDocument(name=one.name, node=one.node, pid=one.pid, running=one.running)
            for one in lab.services
        ),
    )
