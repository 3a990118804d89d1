"""Looking at everything that events tell of, with clients on the loopback link."""

import time
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from uuid import UUID

from tests.hosts import connections_of, snapshot

from icshare.host.viewer import Viewer
from icshare.model.client import Client
from icshare.model.names import InterfaceName
from icshare.model.sharing import Segment, Sharing
from icshare.model.state import Designation, State
from icshare.plan.happenings import View
from icshare.ports import Record

CONNECTIONS = connections_of(snapshot({"links": [{"name": "wan0"}, {"name": "lan0"}]}))
SHOWN = {one.guid: one for one in CONNECTIONS if not one.hidden}
CLIENT = Client(address=IPv4Address("192.168.137.40"), leased=True)
STATE = State(designation=Designation(public=UUID(int=9)), interfaces={UUID(int=9): "wan9"})


def look(record: Record | None, leases: Path) -> View:
    absent = replace(CONNECTIONS[0], guid=UUID(int=9), hidden=True)
    viewer = Viewer(
        record=lambda: record,
        state=lambda: STATE,
        connections=lambda: (*CONNECTIONS, absent),
        clients=lambda: (CLIENT,),
        leases=leases,
    )
    return viewer()


def shared(interface: str) -> Record:
    name = InterfaceName(interface)
    network = IPv4Network("192.168.137.0/24")
    segment = Segment(interface=name, members=(name,), network=network, gateway=IPv4Address("192.168.137.1"))
    return Record(sharing=Sharing(public=InterfaceName("wan0"), privates=(name,)), segments=(segment,))


def test_without_a_sharing_there_are_designation_and_connections(tmp_path: Path) -> None:
    view = look(None, tmp_path / "leases")
    assert (view.designation, view.in_force, view.clients, view.until) == (STATE.designation, False, {}, None)
    assert set(view.connections) == {*SHOWN, UUID(int=9)}


def test_with_a_sharing_there_are_clients_until_their_lease_or_link_ends(tmp_path: Path) -> None:
    leases = tmp_path / "leases"
    ends = int(time.time()) + 1000
    leases.write_text(f"{ends} 02:00:00:00:00:01 192.168.137.40 c0 *\n")
    view = look(shared("lo"), leases)
    assert view.in_force
    assert view.clients == {CLIENT.address: CLIENT}
    assert view.until == ends
    assert look(shared("none7"), tmp_path / "gone").clients == {}
    assert look(shared("lo"), tmp_path / "gone").until is None
