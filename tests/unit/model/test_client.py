"""Who is on the segment, put together from leases, neighbours and counters."""

from ipaddress import IPv4Address, IPv6Address

from hypothesis import given
from hypothesis import strategies as st

from icshare.model.client import Client, Lease, Traffic, list_clients, parse_leases
from icshare.model.link import IfIndex, Neighbour
from icshare.model.names import MacAddress

MAC = MacAddress("52:54:00:00:00:01")
A, B, C, D = (IPv4Address(f"192.168.137.{number}") for number in (10, 20, 30, 4))
REACHABLE, STALE, FAILED = 0x02, 0x04, 0x20


def neighbour(address: IPv4Address | IPv6Address, state: int, mac: MacAddress | None = MAC) -> Neighbour:
    return Neighbour(index=IfIndex(3), address=address, mac=mac, state=state)


def test_leases_are_read_as_dnsmasq_writes_them() -> None:
    lines = ["1700000000 52:54:00:00:00:01 192.168.137.10 laptop 01:52:54", "0 52:54:00:00:00:02 192.168.137.20 * *"]
    text = "".join(f"{line}\n" for line in lines)
    assert parse_leases(text) == (
        Lease(expires=1_700_000_000, mac=MAC, address=A, name="laptop"),
        Lease(expires=0, mac=MacAddress("52:54:00:00:00:02"), address=B, name=""),
    )


def test_lines_that_are_no_leases_of_ipv4_are_passed_over() -> None:
    lines = [
        "duid 00:01:00:01:2b",
        "1700000000 7 fd00::5 laptop 00:01",
        "soon 52:54:00:00:00:01 192.168.137.10 laptop *",
        "1700000000 52:54:00:00:00:01 192.168.137.10.1 laptop *",
        "9" * 5000 + " 52:54:00:00:00:01 192.168.137.10 laptop *",
        "1700000000 52:54:00:00:00:01 192.168.137.10 laptop",
        "",
    ]
    assert parse_leases("\n".join(lines)) == ()


def test_of_a_name_that_a_client_chose_only_what_is_harmless_is_taken() -> None:
    (lease,) = parse_leases("0 52:54:00:00:00:01 192.168.137.10 \x1b[31m<b>é-2</b>; *")
    assert lease.name == "31mb-2b"


@given(st.text())
def test_any_text_is_some_leases(text: str) -> None:
    assert all(lease.name.isascii() for lease in parse_leases(text))


def test_a_client_is_whoever_is_leased_heard_or_counted() -> None:
    clients = list_clients(
        [Lease(expires=10_000, mac=MAC, address=A, name="laptop")],
        [neighbour(B, STALE), neighbour(A, REACHABLE), neighbour(IPv6Address("fe80::1"), REACHABLE)],
        {D: Traffic(sent=5, received=7, seconds=30)},
        now=9_000.0,
        lease_seconds=3_600,
    )
    assert clients == (
        Client(address=D, since=8_970.0, traffic=Traffic(sent=5, received=7, seconds=30)),
        Client(address=A, mac=MAC, name="laptop", leased=True, online=True, since=6_400),
        Client(address=B, mac=MAC),
    )


def test_who_is_at_the_other_end_of_a_line_is_there_without_having_said_anything() -> None:
    (client,) = list_clients([], [], {}, now=9_000.0, lease_seconds=120, peers={A})
    assert client == Client(address=A, online=True)


def test_a_lease_that_has_run_out_is_no_lease_and_a_failed_neighbour_is_nobody() -> None:
    expired = Lease(expires=8_999, mac=MAC, address=A, name="gone")
    assert list_clients([expired], [neighbour(C, FAILED, None)], {}, now=9_000.0, lease_seconds=120) == ()


def test_a_lease_for_ever_does_not_tell_when_it_began() -> None:
    (client,) = list_clients([Lease(expires=0, mac=MAC, address=A)], [], {}, now=9_000.0, lease_seconds=120)
    assert (client.leased, client.since) == (True, None)
