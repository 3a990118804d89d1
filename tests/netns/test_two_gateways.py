"""Two gateways on one machine do not get in each other's way."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import icshare
from icshare.lab import Lab

pytestmark = pytest.mark.netns

LEASE = ["udhcpc", "-f", "-n", "-q", "-t", "2", "-T", "1", "-i", "eth0"]


def on_gateway(lab: Lab, *arguments: str) -> None:
    env = {"PYTHONPATH": str(Path(icshare.__file__).parents[1])}
    lab.run("gw", [sys.executable, "-m", "icshare.cli.main", *arguments], env=env)


def test_sharing_and_stopping_on_one_gateway_leaves_the_servers_of_another_alone(make_lab: Callable[..., Lab]) -> None:
    """Both have /run/icshare, each its own, so their dnsmasq have the same arguments: one ended the other's."""
    first, second = make_lab(), make_lab()
    on_gateway(first, "share", "wan0", "lan0", "lan1")
    on_gateway(second, "share", "wan0", "lan0", "lan1")
    assert "obtained" in first.run("c0", LEASE).stderr
    assert "obtained" in second.run("c0", LEASE).stderr
    on_gateway(second, "stop")
    assert "obtained" in first.run("c1", LEASE).stderr
