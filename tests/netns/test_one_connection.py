"""One connection asked for by itself is what it is among all of them, whatever becomes of the host."""

import sys
from collections.abc import Iterator

import pytest
from tests.netns.gateway import icshare_command, laboratory, output
from tests.netns.inhabited import ENVIRONMENT

from icshare.lab import GATEWAY, Lab

pytestmark = pytest.mark.netns

_STRANGER = "00000000-0000-4000-8000-000000000000"
_COMPARE = f"""
from uuid import UUID
from icshare.api import SharingManager
manager = SharingManager()
for one in manager.connections():
    assert manager.connection(one.guid) == one, (manager.connection(one.guid), one)
    assert manager.role(one.guid) is one.role, one
    print(one.interface, one.role)
stranger = UUID("{_STRANGER}")
assert manager.connection(stranger) is None
assert manager.role(stranger) is None
"""


@pytest.fixture(scope="module")
def lab(lab_allowed: None) -> Iterator[Lab]:  # noqa: ARG001 - asked for, not used
    with laboratory("one", privates=2) as lab:
        yield lab


def _parts(lab: Lab) -> dict[str, str]:
    """Return the connections with a part in sharing, after comparing them all."""
    done = lab.run(GATEWAY, [sys.executable, "-c", _COMPARE], env=ENVIRONMENT, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    told = dict(line.split() for line in done.stdout.splitlines())
    return {name: role for name, role in told.items() if role != "none"}


def test_one_connection_is_what_it_is_among_all(lab: Lab) -> None:
    lines = (
        ("link", "add", "br7", "type", "bridge"),
        ("link", "add", "usb7", "type", "veth", "peer", "port7"),
        ("link", "set", "port7", "master", "br7"),
        ("link", "set", "lan1", "alias", "the attic"),
        ("link", "set", "usb7", "up"),
    )
    for words in lines:
        output(lab, GATEWAY, "ip", *words)
    assert _parts(lab) == {}
    assert icshare_command(lab, "share", "wan0", "lan0", "lan1").returncode == 0
    shared = {"wan0": "public", "lan0": "private", "lan1": "private"}
    assert _parts(lab) == shared
    assert icshare_command(lab, "share", "wan0", "lan0", "usb7").returncode == 0
    output(lab, GATEWAY, "ip", "link", "del", "usb7")
    assert _parts(lab) == {"wan0": "public", "lan0": "private", "usb7": "private"}
    assert icshare_command(lab, "stop").returncode == 0
    assert _parts(lab) == {}
