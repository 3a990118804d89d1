"""``icshare demo``: how its end is told. What it does is tested with the lab."""

import io
import json

import pytest
import typer

from icshare.cli.demo import tell
from icshare.cli.session import Session
from icshare.lab.report import Finding, Ran, Report, Step


def report(*, ok: bool) -> Report:
    ran = Ran(node="gw", line="icshare list", status=0 if ok else 1, output="wan0\n", seconds=0.1234)
    findings = (Finding(ok=True, text="can be shared: wan0"), Finding(ok=ok, text="shared so far: nothing"))
    return Report(
        steps=(Step(name="list", title="What there is", ran=(ran,), findings=findings, seconds=0.25),), seconds=1.04
    )


def told(given: Report, *, json: bool) -> tuple[int, str]:
    stream = io.StringIO()
    try:
        tell(Session(stdout=stream, stderr=io.StringIO()), given, json=json)
    except typer.Exit as end:
        return end.exit_code, stream.getvalue()
    return 0, stream.getvalue()


@pytest.mark.parametrize(
    ("ok", "status", "first"),
    [(True, 0, "✓ all 2 facts hold, in 1.0 s"), (False, 1, "✗ 1 of 2 facts are not as they should be, in 1.0 s")],
)
def test_one_fact_that_does_not_hold_is_a_failure(ok: bool, status: int, first: str) -> None:
    ended, text = told(report(ok=ok), json=False)
    assert ended == status
    assert text.splitlines()[:2] == [first, "  seconds: list 0.2"]


@pytest.mark.parametrize("ok", [True, False])
def test_the_document_has_every_command_and_fact(ok: bool) -> None:
    ended, text = told(report(ok=ok), json=True)
    document = json.loads(text)
    assert ended == (0 if ok else 1)
    assert document["topology"].startswith("┌─ inet")
    assert {name: document[name] for name in ("ok", "seconds", "steps")} == {
        "ok": ok,
        "seconds": 1.04,
        "steps": [
            {
                "name": "list",
                "title": "What there is",
                "ok": ok,
                "commands": [
                    {
                        "node": "gw",
                        "line": "icshare list",
                        "exit_status": 0 if ok else 1,
                        "output": "wan0\n",
                        "seconds": 0.123,
                    }
                ],
                "observations": [
                    {"ok": True, "text": "can be shared: wan0"},
                    {"ok": ok, "text": "shared so far: nothing"},
                ],
                "seconds": 0.25,
            }
        ],
    }
