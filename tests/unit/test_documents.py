"""What the documents say is there: links, commands, and every member of Windows' interfaces."""

import inspect
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from icshare import netcon
from icshare.cli.program import make_group
from icshare.netcon import DISPIDS, HRESULTS
from icshare.windows.members import NATUPNP

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("docs/**/*.md"))]
COMPATIBILITY = (ROOT / "docs" / "ics-compatibility.md").read_text(encoding="utf-8")

# Cut by names that stand for many, as in `ERROR_SHARING_MULTIPLE_ADDRESSES`, `_ADDRESS_EXISTS`.
_SHORTENED = "ERROR_SHARING"


def _members() -> Iterator[tuple[str, str]]:
    interfaces = {name: set(members) for name, members in DISPIDS.items()}
    for name in ("INetConnection", "INetConnectionManager", "INetConnectionConnectUi", "IEnumNetConnection"):
        kind = getattr(netcon, name)
        interfaces[name] = {one for one, _ in inspect.getmembers(kind) if re.match("[A-Z]", one)}
    interfaces |= {name: set(one.members) for name, one in NATUPNP.items()}
    for interface, members in sorted(interfaces.items()):
        yield from ((interface, member) for member in sorted(members))


@pytest.mark.parametrize(("interface", "member"), list(_members()))
def test_every_member_is_compared(interface: str, member: str) -> None:
    assert re.search(rf"\b{member}\b", COMPATIBILITY), f"{interface}.{member}"


def test_every_code_is_compared() -> None:
    told = {
        one.__name__.removeprefix(_SHORTENED) if one.__name__.startswith(_SHORTENED) else one.__name__
        for one in HRESULTS.values()
    }
    assert not [name for name in told if name not in COMPATIBILITY]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    assert not [target for target in targets if not (page.parent / target).exists()]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_row_of_a_table_has_all_its_cells(page: Path) -> None:
    tables = re.findall(r"(?:^\|.*\n)+", page.read_text(encoding="utf-8"), re.MULTILINE)
    for rows in (table.splitlines() for table in tables):
        assert [row for row in rows if _cells(row) != _cells(rows[0])] == []


def _cells(row: str) -> int:
    return len(re.findall(r"(?<!\\)\|", row)) - 1


def _commands() -> Iterator[str]:
    for page in PAGES:
        for line in page.read_text(encoding="utf-8").splitlines():
            found = re.match(r"    (?:\$ )?(?:sudo )?(?:\.venv/bin/)?icshare ([^#]*[^# ])", line)
            if found:
                yield found[1]


@pytest.mark.parametrize("line", list(_commands()))
def test_commands_can_be_typed_as_they_stand(line: str) -> None:
    command: Any = make_group()
    arguments = [one for one in shlex.split(line) if one != "[ARGUMENT...]"]
    context: Any = None
    while hasattr(command, "resolve_command"):
        context = command.make_context("icshare", [], parent=context, resilient_parsing=True)
        _, command, arguments = command.resolve_command(context, arguments)
    command.make_context("icshare", arguments, parent=context, resilient_parsing=False)
