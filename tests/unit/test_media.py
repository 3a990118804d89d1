"""docs/media.md says what the classifier does, kind by kind, and names tests that are there."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.unit.test_links import CASES, Case
from tests.vm.kinds import KINDS, Kind

from icshare.model.connection import LinkClass
from icshare.plan import classify as tables
from icshare.plan.classify import classify

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "media.md").read_text(encoding="utf-8")

ANSWERING = ", answering"
WHAT_THE_ADMINISTRATOR_SAYS = {"direct cable", "local area network", "dial-up", "tunnel", "nothing that can be shared"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row of the page."""

    media: str
    public: str
    private: str
    recorded: str
    made: str
    traffic: str


def _rows() -> dict[str, Row]:
    found = {}
    for line in PAGE.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("|") and cells[0] != "Kind" and set(cells[0]) != {"-"}:
            label, _, media, public, private, recorded, made, traffic, _ = cells
            assert label not in found, label
            found[label] = Row(
                media=media, public=public, private=private, recorded=recorded, made=made, traffic=traffic
            )
    return found


ROWS = _rows()


def _labels(value: Any) -> Iterator[str]:
    """Give the labels of a table of the classifier."""
    for one in value.values() if isinstance(value, Mapping) else ():
        if isinstance(one, LinkClass):
            yield one.label
        elif isinstance(one, str) and value is vars(tables)["_DRIVERS"]:
            yield one


def test_every_kind_of_the_classifier_has_its_row() -> None:
    labels = {label for name, value in vars(tables).items() if name.startswith("_") for label in _labels(value)}
    assert len(labels) > 60
    assert labels - ROWS.keys() == WHAT_THE_ADMINISTRATOR_SAYS


@pytest.mark.parametrize("name", CASES)
def test_the_row_of_a_recorded_link_is_true(name: str, tmp_path: Path) -> None:
    case = Case(name)
    found = classify(case.links(tmp_path)[0])
    row = ROWS[found.label.removesuffix(ANSWERING)]
    assert row.media == found.media.name
    assert row.recorded == "yes" or (row.recorded, case.about["recorded"]) == ("described", False)
    if not found.label.endswith(ANSWERING):
        assert (row.public != "no", row.private != "no") == (found.public, found.private)
        assert _way(row.private, bridgeable=found.bridgeable)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.link)
def test_the_row_of_a_link_that_is_made_is_true(kind: Kind) -> None:
    row = ROWS[kind.label.removesuffix(ANSWERING)]
    assert (row.media, row.made) == (kind.media, "yes")
    if kind.private in {"", "not-as-private"}:
        assert (row.private != "no") == (not kind.private)
        assert _way(row.private, bridgeable=kind.bridge)


def _way(private: str, *, bridgeable: bool) -> bool:
    """Tell whether the cell of the private role allows for the way that a link becomes part of the network."""
    return private == "no" or ("bridged" if bridgeable else "routed") in private


def test_what_the_page_says_of_where_it_was_tried_is_so(tmp_path: Path) -> None:
    recorded = {classify(Case(name).links(tmp_path / name)[0]).label.removesuffix(ANSWERING) for name in CASES}
    assert {label for label, row in ROWS.items() if row.recorded != "-"} == recorded
    made = {kind.label.removesuffix(ANSWERING) for kind in KINDS}
    assert {label for label, row in ROWS.items() if row.made == "yes"} == made


def test_every_test_that_the_page_names_is_there() -> None:
    links = {target for row in ROWS.values() for target in re.findall(r"\]\(([^)]+)\)", row.traffic)}
    links |= set(re.findall(r"\]\((\.\./tests/[^)]+)\)", PAGE))
    assert links
    assert [target for target in links if not (ROOT / "docs" / target).exists()] == []
