"""The real nft and the real dnsmasq take every golden file."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from tests import scenarios

from icshare.render.text import rules_of

pytestmark = pytest.mark.netns

_TWICE = 'nft -f "$1" && nft -s list ruleset && echo ---- && nft -f "$1" && nft -s list ruleset'
_HELPER_OBJECT = re.compile(r"\tct helper \w+ \{\n(\t\t.*\n)*\t\}\n\n")


@pytest.mark.parametrize("name", scenarios.names())
def test_ruleset_can_be_loaded_and_loaded_again(name: str) -> None:
    if "\tflowtable " in (scenarios.GOLDEN / name / "ruleset.nft").read_text(encoding="utf-8"):
        pytest.skip("a flowtable needs its links: tests/vm loads this one")
    first, second = _in_namespace(_TWICE, scenarios.GOLDEN / name / "ruleset.nft").split("----\n")
    assert first == second
    text = (scenarios.GOLDEN / name / "ruleset.nft").read_text(encoding="utf-8")
    assert rules_of(text) == _rules_in(first)
    firewall = ["inet icshare_firewall"] if scenarios.load(name).wanted.firewalls else []
    assert re.findall(r"^table (.*) \{", first, re.MULTILINE) == [*firewall, "inet icshare"]


def _rules_in(listing: str) -> dict[str, list[str]]:
    bodies = re.findall(r"^\tchain (\w+) \{\n(.*?)^\t\}", listing, re.MULTILINE | re.DOTALL)
    return {
        name: [_reason(line) for line in body.splitlines() if not line.startswith("\t\ttype ")] for name, body in bodies
    }


def _reason(rule: str) -> str:
    return rule.rpartition(' comment "icshare: ')[2].removesuffix('"')


@pytest.mark.parametrize("name", [name for name in scenarios.names() if scenarios.load(name).present is not None])
def test_ruleset_takes_the_place_of_the_present_one(name: str) -> None:
    """What was loaded before leaves no trace but helper objects that nothing uses."""
    scenario = scenarios.load(name)
    assert scenario.present is not None
    present = scenarios.machine(scenario).engine.propose(scenario.present).plan.ruleset
    wanted = scenario.directory / "ruleset.nft"
    off = scenario.present.firewalls and not scenario.wanted.firewalls
    drop = " && nft delete table inet icshare_firewall" if off else ""
    change = f"nft -f - <<'EOF'\n{present}\nEOF\n" + f'nft -f "$1"{drop} && nft -s list ruleset'
    alone = _in_namespace('nft -f "$1" && nft -s list ruleset', wanted)
    assert _HELPER_OBJECT.sub("", _in_namespace(change, wanted)) == _HELPER_OBJECT.sub("", alone)


@pytest.mark.parametrize("name", scenarios.names())
def test_dnsmasq_takes_the_configuration(name: str) -> None:
    program = shutil.which("dnsmasq")
    if program is None:
        pytest.skip("dnsmasq is not installed")
    path = scenarios.GOLDEN / name / "dnsmasq.conf"
    result = subprocess.run([program, "--test", f"--conf-file={path}"], capture_output=True, text=True, check=False)
    assert result.stderr.strip() == "dnsmasq: syntax check OK."


def _in_namespace(script: str, path: Path) -> str:
    """Return what *script* prints in a new network namespace, with *path* as its argument."""
    wrapper = ["unshare", "--map-root-user", "--net", "sh", "-euc", script, "sh", str(path)]
    result = subprocess.run(wrapper, capture_output=True, text=True, timeout=30, check=False)
    if "unshare failed" in result.stderr:
        pytest.skip(f"this machine gives no namespaces: {result.stderr.strip()}")
    assert result.returncode == 0, result.stderr
    return result.stdout
