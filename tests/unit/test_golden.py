"""Each golden scenario comes out as it is written down: every step, every rule, every line of configuration."""

from collections.abc import Iterator

import pytest
from tests import scenarios
from tests.conftest import Golden

from icshare.engine import Proposal
from icshare.plan.diff import Change, Do
from icshare.plan.steps import StartAccessPoint, StartFastPath, StartService


@pytest.mark.parametrize("name", scenarios.names())
def test_scenario_comes_out_as_written_down(name: str, golden: Golden) -> None:
    scenario = scenarios.load(name)
    proposal = scenarios.machine(scenario).engine.propose(scenario.wanted)
    (service,) = [step for step in proposal.plan.steps if isinstance(step, StartService)]
    golden(scenario.directory / "plan.txt", "".join(f"{line}\n" for line in _lines(proposal, scenario)))
    golden(scenario.directory / "ruleset.nft", proposal.plan.ruleset)
    golden(scenario.directory / "dnsmasq.conf", service.text)
    for step in proposal.plan.steps:
        if isinstance(step, StartFastPath):
            golden(scenario.directory / "fastpath.json", step.text)
        if isinstance(step, StartAccessPoint):
            name = "profile.json" if step.networkmanager else "hostapd.conf"
            golden(scenario.directory / name, step.text)


def _lines(proposal: Proposal, scenario: scenarios.Scenario) -> Iterator[str]:
    yield "plan:"
    for step in proposal.plan.steps:
        yield f"    {step.describe()}"
    if scenario.present is not None:
        yield "changes from the present sharing:"
        for change in proposal.changes:
            yield f"    {_change(change)}"
    if proposal.plan.paths:
        yield "fast path:"
        for pair in proposal.plan.paths:
            yield f"    {pair.public} - {pair.private}: {pair.path}, {pair.reason}" + (
                f" (mend: {pair.remedy})" if pair.remedy else ""
            )
    if proposal.plan.notes:
        yield "notes:"
        for note in proposal.plan.notes:
            yield f"    {note}"


def _change(change: Change) -> str:
    if isinstance(change, Do):
        return f"do    {change.describe()}" + (f" (in its old place, {change.rank})" if change.rank is not None else "")
    return f"undo  {change.describe()}"
