"""A lab's plan takes sensible values only, and names its nodes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icshare.errors import InvalidRequestError
from icshare.lab.plan import LabName, LabPlan, lab_name, node_name


@pytest.mark.parametrize("text", ["a", "icslab", "my-lab-2", "x" * 31])
def test_usable_lab_names_are_taken(text: str) -> None:
    assert lab_name(text) == text


@pytest.mark.parametrize("text", ["", "A", "1a", "-a", "a_b", "a/b", "../a", "a b", "a\n", "x" * 32, "ü", "a;b"])
def test_other_lab_names_are_refused(text: str) -> None:
    with pytest.raises(InvalidRequestError, match="not a lab name"):
        lab_name(text)


@given(st.text())
def test_a_lab_name_is_always_safe_in_a_path_and_a_batch(text: str) -> None:
    try:
        name = lab_name(text)
    except InvalidRequestError:
        return
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
    assert not name.startswith("-")


@pytest.mark.parametrize("text", ["inet", "far", "gw", "switch", "c0", "c9", "c511"])
def test_nodes_of_labs_are_taken(text: str) -> None:
    assert node_name(text) == text


@pytest.mark.parametrize("text", ["", "c", "c01", "c1000", "C1", "gw ", "../gw", "lan0"])
def test_other_nodes_are_refused(text: str) -> None:
    with pytest.raises(InvalidRequestError, match="not a node"):
        node_name(text)


def test_every_value_that_is_out_of_range_is_named_at_once() -> None:
    with pytest.raises(InvalidRequestError) as caught:
        LabPlan(privates=0, clients_per_private=9, mtu=10, far_mtu=100_000)
    for problem in ("privates: 0", "clients per private: 9", "public MTU: 10", "far MTU: 100000"):
        assert problem in caught.value.message


def test_a_plan_refuses_an_unparsed_prefix() -> None:
    with pytest.raises(InvalidRequestError):
        LabPlan(prefix=LabName("../x"))


def test_nodes_are_listed_internet_first_and_only_those_there_are() -> None:
    assert LabPlan(privates=2).nodes == ("inet", "gw", "c0", "c1")
    assert LabPlan(privates=1, far_mtu=1300, clients_per_private=2).nodes == ("inet", "far", "gw", "switch", "c0", "c1")


def test_a_namespace_is_named_after_lab_and_node() -> None:
    plan = LabPlan(prefix=lab_name("mine"))
    assert [plan.namespace(node) for node in plan.nodes] == ["mine-inet", "mine-gw", "mine-c0", "mine-c1"]
