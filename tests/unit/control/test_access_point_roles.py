"""An access point is a part of the roles: it is kept, and goes with the connection that it is asked of."""

from dataclasses import replace
from ipaddress import IPv4Network
from uuid import UUID

import pytest
from tests.hosts import connections_of, settled, snapshot
from tests.unit.control.test_roles import Machine, Mappings

from icshare.engine import Engine
from icshare.errors import GoneError, PolicyError, RefusedError
from icshare.model.names import InterfaceName
from icshare.model.settings import Policy, Settings
from icshare.model.sharing import Sharing
from icshare.model.state import Designation
from icshare.model.wifi import AccessPoint, Ssid
from icshare.plan.connections import guid_of_name
from icshare.plan.steps import StartAccessPoint
from icshare.ports import silent
from icshare.testing import FakeHost

HOST = snapshot(
    {
        "links": [{"name": "wan0"}, {"name": "lan0"}, {"name": "wlan0", "radio": 0, "up": False}],
        "addresses": ["wan0 198.51.100.2/24"],
        "routes": ["default via 198.51.100.1 dev wan0 proto dhcp metric 100"],
        "radios": [{}],
    }
)
GUIDS = {one.interface: one.guid for one in connections_of(HOST)}
MADE = guid_of_name("ics-ap0")
WANTED = AccessPoint(interface=InterfaceName("wlan0"), ssid=Ssid("net"), secret="0123456789abcdef")


class Disabled(Mappings):
    """Remembers whose mappings were disabled."""

    def __init__(self) -> None:
        super().__init__()
        self.disabled: list[UUID] = []

    def disable_all(self, connection: UUID) -> None:
        self.disabled.append(connection)


class Wireless(Machine):
    """A host with a radio, and roles on it."""

    def __init__(self, settings: Settings | None = None) -> None:
        super().__init__(settings)
        self.host = FakeHost(HOST)
        self.engine = Engine(self.host, self.journal, connections_of)
        self.mappings = Disabled()

    def asks(self, public: str, *privates: str, access_point: AccessPoint | None = None) -> None:
        names = tuple(InterfaceName(one) for one in privates)
        sharing = Sharing(public=InterfaceName(public), privates=names, access_point=access_point)
        self.roles.share(sharing, firewall=True, progress=silent)

    @property
    def asked(self) -> Designation:
        return self.store.load().designation

    @property
    def members(self) -> list[str]:
        record = self.journal.record
        return [name for segment in record.segments for name in segment.members] if record else []


@pytest.fixture
def machine() -> Wireless:
    made = Wireless()
    made.asks("wan0", "wlan0", access_point=WANTED)
    return made


def test_an_access_point_is_written_down_with_its_connection(machine: Wireless) -> None:
    assert machine.asked == Designation(
        public=GUIDS["wan0"], privates=(GUIDS["wlan0"],), access_point=WANTED, wireless=GUIDS["wlan0"]
    )
    assert machine.members == ["ics-ap0"]


def test_a_further_private_leaves_the_access_point(machine: Wireless) -> None:
    machine.roles.add_private(GUIDS["lan0"])
    assert machine.members == ["ics-ap0", "lan0"]
    assert any(isinstance(step, StartAccessPoint) and "bridge=" in step.text for step in machine.host.ran)


def test_sharing_again_without_a_word_of_it_keeps_it(machine: Wireless) -> None:
    machine.asks("wan0", "lan0", "wlan0")
    assert machine.members == ["lan0", "ics-ap0"]
    assert machine.asked.access_point == WANTED
    machine.asks("wan0", "lan0")
    assert machine.members == ["lan0"]
    assert machine.asked.access_point is None


def test_another_takes_its_place(machine: Wireless) -> None:
    other = replace(WANTED, ssid=Ssid("other"), channel=11)
    machine.asks("wan0", "wlan0", access_point=other)
    assert machine.asked.access_point == other


@pytest.mark.parametrize("named", [MADE, GUIDS["wlan0"]])
def test_it_ends_with_either_of_its_links(machine: Wireless, named: UUID) -> None:
    machine.roles.add_private(GUIDS["lan0"])
    machine.roles.unshare(named)
    assert machine.members == ["lan0"]
    assert machine.asked == Designation(public=GUIDS["wan0"], privates=(GUIDS["lan0"],))
    assert machine.host.snapshot.access_point is None


def test_beside_the_public_connection_it_is_a_private_of_its_own() -> None:
    machine = Wireless()
    machine.asks("wlan0", access_point=WANTED)
    assert machine.asked == Designation(public=GUIDS["wlan0"], access_point=WANTED, wireless=GUIDS["wlan0"])
    assert machine.members == ["ics-ap0"]
    machine.roles.set_public(GUIDS["wan0"])
    assert machine.asked.privates == (GUIDS["wlan0"],)
    assert machine.members == ["ics-ap0"]
    machine.roles.set_subnet(IPv4Network("10.0.0.0/24"))
    machine.roles.unshare(MADE)
    assert machine.asked == Designation(public=GUIDS["wan0"], subnet=IPv4Network("10.0.0.0/24"))


def test_what_is_in_force_counts_where_the_state_file_was_lost(machine: Wireless) -> None:
    machine.store = type(machine.store)()
    machine.roles.add_private(GUIDS["lan0"])
    assert machine.members == ["ics-ap0", "lan0"]
    assert machine.asked.wireless == GUIDS["wlan0"]


def test_a_made_link_that_is_none_is_no_connection() -> None:
    machine = Wireless()
    machine.roles.unshare(MADE)
    with pytest.raises(GoneError):
        machine.roles.set_public(MADE)


def test_an_access_point_elsewhere_is_refused() -> None:
    machine = Wireless()
    for interface in ("wlan7", "lan0"):
        wanted = replace(WANTED, interface=InterfaceName(interface))
        with pytest.raises(RefusedError, match="none of the connections named"):
            machine.asks("wan0", "wlan0", access_point=wanted)
    with pytest.raises(RefusedError, match="there is no connection 'wlan7'"):
        machine.asks("wan0", "wlan7", access_point=replace(WANTED, interface=InterfaceName("wlan7")))
    with pytest.raises(RefusedError, match="lan0 has no radio"):
        machine.asks("wan0", "lan0", access_point=replace(WANTED, interface=InterfaceName("lan0")))
    assert machine.asked == Designation()


def test_where_the_policy_forbids_a_bridge_it_counts_as_a_private() -> None:
    machine = Wireless(Settings(policy=Policy(bridge=False)))
    with pytest.raises(PolicyError):
        machine.asks("wlan0", "lan0", access_point=WANTED)
    machine.asks("wlan0", access_point=WANTED)


def test_stop_gives_back_the_host(machine: Wireless) -> None:
    machine.roles.stop(silent)
    assert settled(machine.host.snapshot) == settled(HOST)
    assert machine.asked == Designation()
