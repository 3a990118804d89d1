"""Labs for the tests: each test its own, gone at its end."""

import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from tests.netns import forced
from tests.netns.inside import Inside, in_new_namespace

from icshare.lab import Lab, LabName, LabPlan, lab_name, rootless
from icshare.model.fastpath import Mode

MakeLab = Callable[..., Lab]

_numbers = itertools.count()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip, before any lab is built, what needs the fast path's programs where the kernel does not take them."""
    is_forced = forced.mode() is not Mode.AUTO and item.get_closest_marker("packets")
    if (is_forced or item.get_closest_marker("programs")) and (why := forced.why_no_programs()):
        pytest.skip(f"no fast path here: {why}")


@pytest.fixture(scope="session")
def lab_allowed() -> None:
    """Skip the test where this process cannot make a lab."""
    if os.geteuid() != 0:
        pytest.skip("a lab needs root, be it in a user namespace: run this with tools/isolate")
    refused = rootless.refusal(root=True)
    if refused is not None:
        pytest.skip(str(refused))


@pytest.fixture
def prefix(lab_allowed: None) -> LabName:  # noqa: ARG001 - only what may be built needs a name
    """Give a name that no other test's lab has, in this process or beside it."""
    return lab_name(f"t{os.getpid()}-{next(_numbers)}")


@pytest.fixture
def inside() -> Inside:
    """Give a function that runs code in a network namespace of its own, with links for the fast path."""
    return in_new_namespace


@pytest.fixture
def make_lab(lab_allowed: None) -> Iterator[MakeLab]:  # noqa: ARG001 - asked for, not used
    """Give a function that builds a lab from the arguments of a plan; all are taken down at the end."""
    with ExitStack() as labs:

        def make(**plan: Any) -> Lab:
            name = lab_name(f"t{os.getpid()}-{next(_numbers)}")
            made = labs.enter_context(Lab.up(LabPlan(**{"prefix": name, **plan})))
            forced.prepare(made)
            return made

        yield make


@pytest.fixture
def lab(make_lab: MakeLab) -> Lab:
    """Give a lab with two private links, a client on each."""
    return make_lab()
