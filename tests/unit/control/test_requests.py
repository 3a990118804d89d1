"""What names mean: which connections, and which sharing is made of them."""

from dataclasses import replace

import pytest
from tests.hosts import connections_of, snapshot

from icshare.control.requests import AUTO, Requests, called
from icshare.errors import ConflictError, InvalidRequestError, RefusedError
from icshare.model.connection import Connection, Verdict
from icshare.model.names import InterfaceName
from icshare.model.regulation import Regulation
from icshare.model.settings import Settings
from icshare.model.wifi import AccessPoint, Band, Country, Ssid

HOST = snapshot(
    {
        "links": [{"name": "wan0"}, {"name": "lan0"}, {"name": "wlan0", "radio": 0}],
        "addresses": ["wan0 198.51.100.2/24", "lan0 203.0.113.2/24"],
        "routes": [
            "default via 198.51.100.1 dev wan0 proto dhcp metric 100",
            "default via 203.0.113.1 dev lan0 proto dhcp metric 200",
        ],
        "radios": [{}],
    }
)
ACCESS_POINT = AccessPoint(interface=InterfaceName("wlan0"), ssid=Ssid("net"), secret="0123456789abcdef")


def found() -> tuple[Connection, ...]:
    """Return the host's connections, with one that a pppd peer has the interface ``ppp0`` for."""
    first, *rest = connections_of(HOST)
    return (first, *rest, replace(first, interface="ppp0", peer="fibre"))


def forbidden(country: Country) -> Regulation:
    """Return the rules of a country where nothing is allowed."""
    return Regulation(country=country, rules=())


@pytest.fixture
def requests() -> Requests:
    return Requests(connections=found, baseline=lambda: HOST, read_regulation=forbidden, settings=Settings())


def test_a_connection_is_called_by_its_interface_before_a_peer() -> None:
    by_name = replace(found()[0], interface="fibre")
    assert called([*found(), by_name], "fibre") == by_name
    assert called(found(), "fibre") == found()[-1]
    assert called(found(), "nothing") is None


def test_a_peer_stands_for_its_interface(requests: Requests) -> None:
    made = requests.sharing("fibre", ["lan0"], None, None)
    assert (made.public, made.privates) == ("ppp0", ("lan0",))


def test_auto_is_the_connection_with_the_best_default_route_that_is_not_private(requests: Requests) -> None:
    assert requests.sharing(AUTO, ["lan0"], None, None).public == "wan0"
    assert requests.sharing(AUTO, ["wan0"], None, None).public == "lan0"
    with pytest.raises(ConflictError, match="no connection carries a default route"):
        requests.sharing(AUTO, ["wan0", "lan0"], None, None)


def test_an_access_point_beside_the_public_connection_makes_that_no_private(requests: Requests) -> None:
    made = requests.sharing("wlan0", ["wlan0", "lan0"], None, ACCESS_POINT)
    assert (made.public, made.privates, made.access_point) == ("wlan0", ("lan0",), ACCESS_POINT)
    made = requests.sharing("wan0", ["wlan0"], None, ACCESS_POINT)
    assert (made.public, made.privates) == ("wan0", ("wlan0",))


def test_all_names_that_can_be_none_are_told_at_once(requests: Requests) -> None:
    with pytest.raises(RefusedError) as refused:
        requests.sharing("a b", ["lan0", "c/d", "c/d"], None, None)
    assert len(refused.value.problems) == 2


def test_what_a_country_forbids_is_refused(requests: Requests) -> None:
    wanted = replace(ACCESS_POINT, country=Country("DE"), band=Band.GHZ2, channel=1)
    with pytest.raises(InvalidRequestError):
        requests.sharing("wan0", ["wlan0"], None, wanted)


def test_nothing_is_usable_when_something_speaks_against_one(requests: Requests) -> None:
    assert [one.interface for one in requests.usable("wan0", ["lan0"])] == ["wan0", "lan0"]
    assert [one.interface for one in requests.usable(AUTO, ["lan0"])] == ["lan0"]
    assert requests.usable("wan0", ["nothing"]) == []


def test_beside_auto_a_peer_is_judged_as_private() -> None:
    """It was judged, and dialled, as if it were the public one."""
    peer = replace(found()[-1], as_public=Verdict(ok=True), as_private=Verdict(ok=False))
    requests = Requests(
        connections=lambda: (peer,), baseline=lambda: HOST, read_regulation=forbidden, settings=Settings()
    )
    assert requests.usable("fibre", []) == [peer]
    assert requests.usable(AUTO, ["fibre"]) == []
