"""Every check of the acceptance list is proved by a test that says its number, or is put off with a reason.

A test says it by ``@pytest.mark.check(N)``; `docs/acceptance.md` is written from these marks, by ``--update-golden``.
"""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from tests.conftest import Golden

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "acceptance.md"

CHECKS: Mapping[int, str] = {
    1: "what can be shared is the table of media types, incoming-only connections never",
    2: "status, firewall, bridge and being shared do not change that answer",
    3: "a second EnableSharing(PUBLIC) moves the role; the old one keeps its firewall, its mappings are disabled",
    4: "EnableSharing(PUBLIC) switches the firewall on, EnableSharing(PRIVATE) leaves it as it is",
    5: "DisableSharing of what is not shared succeeds and disables its mappings",
    6: "DisableSharing leaves the firewall on",
    7: "a new mapping is disabled; disabled again it stays defined",
    8: "protocols other than TCP and UDP are wrong arguments",
    9: "555 leads to 444; ports above 32767 survive the round trip",
    10: "RemovePortMapping and Delete are the same",
    11: "while nothing is shared, a mapping to a client opens nothing and never exposes the gateway",
    12: "no firewall on a private connection, a bridge, a port of one, a direct cable",
    13: "reads need no privilege; writes without one fail with 0x80070005 and change nothing",
    14: "the enumerations of public and private connections are empty, or full, and never fail",
    15: "flags other than ICSSC_DEFAULT are wrong arguments",
    16: "three private connections are one segment, in which clients reach each other",
    17: "an absent connection that was shared is not in the way",
    18: "after a reboot, a restart, idle minutes or a reconnect of the public connection sharing works",
    19: "beside another DHCP server ours is silent; when that has gone, ours serves",
    20: "port 53 in use on other addresses is no obstacle",
    21: "where the upstream network has 192.168.137.0/24, another subnet is chosen and both are reachable",
    22: "disabling gives every private connection back what it had",
    23: "with a small public MTU the MSS of clients is clamped",
    24: "UPnP is there on the private side only",
    25: "names of connections are valid as NcIsValidConnectionName says",
    26: "where the policy prohibits sharing every write fails with the reason, and the present one ends",
    27: "what fails in the middle puts everything back",
}

LATER: Mapping[int, str] = {
    24: "there is no UPnP yet, on any side",
}
"""Checks that no test proves, and why."""

PARTLY: Mapping[int, str] = {
    18: "the reconnect is proved, nothing of ours stops when idle, and one call brings back what a reboot has ended; "
    "to do that by itself comes with the daemon",
    19: "ours serves after the next stop and share; to notice by itself that the other has gone comes with the daemon",
    26: "the present sharing ends with the first write that is refused; to end it as the file changes comes with the "
    "daemon",
}
"""Checks of which a part comes later, and why."""


def marks(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the numbers of the checks that tests in a file say they prove, with the name of each test."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.FunctionDef):
            continue
        for one in node.decorator_list:
            if isinstance(one, ast.Call) and ast.unparse(one.func) == "pytest.mark.check":
                assert node.name.startswith("test_"), f"{node.name} in {path} is no test"
                yield ast.literal_eval(one.args[0]), node.name


@pytest.fixture(scope="module")
def proofs() -> Mapping[int, tuple[str, ...]]:
    """Give the tests that prove each check, as paths and names."""
    found: dict[int, list[str]] = {}
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for number, name in marks(path):
            found.setdefault(number, []).append(f"{path.relative_to(ROOT)}::{name}")
    return {number: tuple(tests) for number, tests in sorted(found.items())}


def test_every_check_is_proved_or_put_off_with_a_reason(proofs: Mapping[int, tuple[str, ...]]) -> None:
    assert list(CHECKS) == list(range(1, 28))
    assert set(proofs) == CHECKS.keys() - LATER.keys()
    assert proofs.keys() >= PARTLY.keys()


def test_the_document_tells_it(proofs: Mapping[int, tuple[str, ...]], golden: Golden) -> None:
    golden(DOCUMENT, document(proofs))


def document(proofs: Mapping[int, tuple[str, ...]]) -> str:
    """Return `docs/acceptance.md`."""
    rows = [
        f"| {number} | {what} | {' '.join(cell(number, proofs.get(number, ())))} |" for number, what in CHECKS.items()
    ]
    return (
        "# Acceptance list\n\n"
        "What an implementation of Windows' sharing objects has to show, and the tests that show it here. A test\n"
        "says which check it proves by `@pytest.mark.check(N)`; `tests/unit/test_acceptance.py` collects these\n"
        "marks, fails when a check has none, and writes this table (`--update-golden`). Tests below `tests/netns`\n"
        "use real kernels, packets and processes, the others run anywhere.\n\n"
        "| # | Check | Proved by |\n|---|---|---|\n" + "\n".join(rows) + "\n"
    )


def cell(number: int, tests: tuple[str, ...]) -> Iterator[str]:
    """Yield what the table says about the proofs of a check."""
    by_file: dict[str, list[str]] = {}
    for path, _, name in (one.partition("::") for one in tests):
        by_file.setdefault(path, []).append(name)
    for path, names in by_file.items():
        yield f"[{path.removeprefix('tests/')}](../{path}): {', '.join(f'`{name}`' for name in names)}."
    if number in LATER:
        yield f"Later: {LATER[number]}."
    if number in PARTLY:
        yield f"In part: {PARTLY[number]}."
