"""What the tests in the virtual machine share. They run only there: ``make test-vm``."""

import contextlib
import gc
import importlib
import os
import pkgutil
import time
from collections.abc import Callable, Generator, Iterator
from ipaddress import IPv4Interface
from pathlib import Path
from typing import cast

import pytest
from tests.vm.nodes import LINE, Node, connect

from icshare.host import command
from icshare.lab import DNS_ADDRESS, INTERNET, Lab, LabPlan, lab_name

# Looking for garbage among what pytest and icshare have imported takes time, here 20 times as long.
gc.set_threshold(100_000)

INSIDE = os.environ.get("ICSHARE_VM") == "1"
COLLECTING = os.environ.get("ICSHARE_VM") == "collect"

MakeNode = Callable[..., Node]
Modprobe = Callable[..., None]

RESOLV_CONF = f"nameserver {DNS_ADDRESS}\n"
CORE = (IPv4Interface("203.0.113.249/30"), IPv4Interface("203.0.113.250/30"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run nothing of this outside."""
    if not INSIDE and not COLLECTING:
        outside = pytest.mark.skip(reason="runs in the virtual machine: make test-vm")
        for item in items:
            if "/tests/vm/" in item.path.as_posix():
                item.add_marker(outside)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Let no file of tests skip in here either."""
    report = yield
    if INSIDE and report.skipped:
        report.outcome = "failed"
        report.longrepr = f"{collector.nodeid} skipped in the virtual machine: {report.longrepr}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let no test skip in here, where everything is known to be there, and show what daemons said when one fails."""
    report = yield
    if INSIDE and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped in the virtual machine, where nothing may be missing: {call.excinfo}"
    if report.failed and isinstance(item, pytest.Function):
        made = [
            node
            for fixture in ("nodes_for_all", "nodes")
            for node in cast("list[Node]", item.funcargs.get(fixture, []))
        ]
        report.sections += [(f"programs on {node.name}", node.logs()) for node in made if node.logs()]
    return report


@pytest.fixture(scope="session")
def warm() -> None:
    """Import all of icshare that a command may need, once: the children that run it have it then."""
    for package in ("icshare.cli", "icshare.host", "icshare.control"):
        for module in pkgutil.iter_modules(importlib.import_module(package).__path__, f"{package}."):
            if module.name not in {"icshare.cli.demo", "icshare.cli.jsondoc", "icshare.cli.man"}:
                importlib.import_module(module.name)
    importlib.import_module("icshare.machine")


@pytest.fixture
def modprobe() -> Iterator[Modprobe]:
    """Give a function that loads modules of the kernel: names, or ``"name option=value"``.

    A module with options is the test's own: it must not be loaded yet, and goes with the test.
    """
    with _modprobe() as load:
        yield load


@pytest.fixture(scope="module")
def modprobe_for_all() -> Iterator[Modprobe]:
    """Give `modprobe` for all tests of a file."""
    with _modprobe() as load:
        yield load


@contextlib.contextmanager
def _modprobe() -> Iterator[Modprobe]:
    own = []

    def load(*modules: str) -> None:
        for module in modules:
            name, *options = module.split()
            if options:
                assert not is_loaded(name), f"{name} is loaded already: options would say nothing to it"
                own.append(name)
            command.run(["modprobe", name, *options], timeout=60)

    yield load
    for name in reversed(own):
        command.run(["modprobe", "--remove", name], timeout=60)


def is_loaded(module: str) -> bool:
    """Tell whether the kernel has loaded *module*."""
    return Path("/sys/module", module, "initstate").exists()


@pytest.fixture
def nodes() -> Iterator[list[Node]]:
    """Give the nodes of the test; all end with it."""
    with _nodes() as made:
        yield made


@pytest.fixture(scope="module")
def nodes_for_all() -> Iterator[list[Node]]:
    """Give the nodes that all tests of a file share; they end with the last of them."""
    with _nodes() as made:
        yield made


@contextlib.contextmanager
def _nodes() -> Iterator[list[Node]]:
    made: list[Node] = []
    yield made
    for node in reversed(made):
        node.close()


@pytest.fixture
def make_node(nodes: list[Node], warm: None) -> MakeNode:  # noqa: ARG001
    """Give a function that makes a node by name; all end with the test. A failure shows what their daemons wrote."""
    return _maker(nodes)


@pytest.fixture(scope="module")
def make_node_for_all(nodes_for_all: list[Node], warm: None) -> MakeNode:  # noqa: ARG001
    """Give `make_node` for all tests of a file."""
    return _maker(nodes_for_all)


def _maker(nodes: list[Node]) -> MakeNode:
    number = f"{time.monotonic_ns() % 10**9:09d}"

    def make(name: str, **how: str) -> Node:
        node = Node(f"{name}-{number}", **how)
        nodes.append(node)
        return node

    return make


@pytest.fixture(scope="session")
def internet() -> Iterator[Lab]:
    """Give a lab, for the sake of its Internet: name server, web server that tells where one comes from, echo.

    What the servers saw is ``internet.seen("web")``. Tests reach it through a provider of their own: `isp`.
    """
    with Lab.up(LabPlan(prefix=lab_name("vm"), privates=1)) as lab:
        yield lab


@pytest.fixture
def isp(internet: Lab, make_node: MakeNode) -> Node:
    """Give a provider's router with the Internet behind it: addresses of `LINE` are its customers' and reach all of it.

    It has no customer yet: see `line`.
    """
    node = make_node("isp", resolv_conf=RESOLV_CONF)
    inet = internet.namespace(INTERNET)
    command.run(["ip", "link", "add", "core", "netns", node.name, "type", "veth", "peer", "peering", "netns", inet])
    with node.network():
        Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
    node.ip("address", "add", str(CORE[1]), "dev", "core")
    node.ip("link", "set", "core", "up")
    node.ip("route", "add", "default", "via", str(CORE[0].ip))
    for words in (
        ("address", "add", str(CORE[0]), "dev", "peering"),
        ("link", "set", "peering", "up"),
        ("route", "add", str(LINE.network), "via", str(CORE[1].ip)),
    ):
        command.run(["ip", "-n", inet, *words])
    return node


@pytest.fixture
def gateway(make_node: MakeNode) -> Node:
    """Give the machine that is to share: without links yet, and with the Internet's name server."""
    return make_node("gw", resolv_conf=RESOLV_CONF)


@pytest.fixture
def client(gateway: Node, make_node: MakeNode) -> Node:
    """Give a client whose ``eth0`` is joined to ``lan0`` of the gateway; it has no address and no name server yet."""
    node = make_node("client")
    connect(gateway, "lan0", node, "eth0")
    return node
