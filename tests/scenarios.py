"""Golden scenarios: one directory each, named for the behaviour that it pins down.

* ``sharing.toml``: why the case exists, what is ``[wanted]``, and what is ``[present]`` before, if anything;
* ``host.json``: the host before anything is shared (see `tests.hosts`);
* ``plan.txt``, ``ruleset.nft``, ``dnsmasq.conf``: what comes of it; with a fast path ``fastpath.json``; with an access
  point ``hostapd.conf``, or ``profile.json`` where NetworkManager makes it.

A new case needs the first two files and ``pytest --update-golden``.
"""

import json
import tomllib
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

import msgspec
from tests.hosts import abilities, connections_of, snapshot

from icshare.engine import Engine
from icshare.model.fastpath import Abilities
from icshare.model.firewall import Firewall
from icshare.model.sharing import Sharing, Wanted
from icshare.model.snapshot import Snapshot
from icshare.testing import FakeHost, FakeJournal

GOLDEN = Path(__file__).parent / "golden"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One golden case.

    Attributes:
        directory: Where it lies.
        host: The host before anything is shared.
        wanted: What is to be shared.
        present: What is shared before that, None for nothing.
        abilities: What its links can do for a fast path, None when that is not known.
    """

    directory: Path
    host: Snapshot
    wanted: Wanted
    present: Wanted | None
    abilities: Abilities | None = None

    @property
    def name(self) -> str:
        """The behaviour."""
        return self.directory.name


@dataclass(slots=True, kw_only=True)
class Machine:
    """A fake host with an engine on it."""

    host: FakeHost
    journal: FakeJournal

    @property
    def engine(self) -> Engine:
        """A new engine, as each process has its own."""
        return Engine(self.host, self.journal, connections_of)


def names() -> list[str]:
    """Return the names of all scenarios."""
    return sorted(path.parent.name for path in GOLDEN.glob("*/sharing.toml"))


def load(name: str) -> Scenario:
    """Return the scenario called *name*."""
    directory = GOLDEN / name
    text = (directory / "sharing.toml").read_text(encoding="utf-8")
    assert text.startswith("# "), f"{name}/sharing.toml does not open with why the case exists"
    tables = tomllib.loads(text)
    description = json.loads((directory / "host.json").read_text(encoding="utf-8"))
    return Scenario(
        directory=directory,
        host=snapshot(description),
        abilities=abilities(description),
        wanted=wanted(tables["wanted"]),
        present=wanted(tables["present"]) if "present" in tables else None,
    )


def machine(scenario: Scenario) -> Machine:
    """Return a machine on which the scenario's present sharing is in force."""
    made = Machine(host=FakeHost(scenario.host), journal=FakeJournal())
    made.host.abilities = scenario.abilities
    if scenario.present is not None:
        made.engine.apply(scenario.present)
    return made


def wanted(table: dict[str, Any]) -> Wanted:
    """Return what a table of ``sharing.toml`` wants: a sharing, and its public connection's firewall unless off."""
    protected, login = table.pop("firewall", True), table.pop("ssh_port", None)
    sharing = msgspec.convert(table, Sharing, dec_hook=_from_text)
    firewalls = (Firewall(interface=sharing.public, login_port=login),) if protected else ()
    return Wanted(sharing=sharing, firewalls=firewalls)


def _from_text(kind: type, value: Any) -> Any:
    assert kind in {IPv4Address, IPv4Network}
    return kind(value)
