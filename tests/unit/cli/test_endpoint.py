"""Ports and targets on the command line: what is taken, what is refused, and that print can be pasted."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icshare.cli.endpoint import endpoint_in_words, first_port, parse_endpoint, ports_in_words
from icshare.errors import InvalidRequestError
from icshare.model.mapping import (
    PortMapping,
    Protocol,
    Target,
    TargetKind,
    address_target,
    mac_target,
    name_target,
    parse_ports,
)

MAC = "52:54:00:00:00:01"


@pytest.mark.parametrize(
    ("text", "kind", "value", "ports"),
    [
        ("192.168.137.9", TargetKind.ADDRESS, "192.168.137.9", None),
        ("192.168.137.9:80", TargetKind.ADDRESS, "192.168.137.9", (80, 1)),
        ("[192.168.137.9]:80", TargetKind.ADDRESS, "192.168.137.9", (80, 1)),
        ("printer", TargetKind.NAME, "printer", None),
        ("printer.home.arpa:8000-8010", TargetKind.NAME, "printer.home.arpa", (8000, 11)),
        (MAC, TargetKind.MAC, MAC, None),
        (f"[{MAC}]", TargetKind.MAC, MAC, None),
        (f"[{MAC}]:80", TargetKind.MAC, MAC, (80, 1)),
        ("52-54-00-00-00-0A:80", TargetKind.MAC, "52:54:00:00:00:0a", (80, 1)),
    ],
)
def test_a_target_is_told_from_its_port(text: str, kind: TargetKind, value: str, ports: tuple[int, int] | None) -> None:
    assert parse_endpoint(text) == (Target(kind=kind, value=value), ports)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"{MAC}:80", "is not a target"),
        ("2001:db8::1", "is not a target"),
        ("printer:", "'' is not a port"),
        ("printer:http", "'http' is not a port"),
        ("printer:0", "'0' is not a port"),
        (f"[{MAC}]:", "'' is not a port"),
        ("[]:80", "'' is not a host name"),
        (f"[{MAC}", "is not a target"),
        ("[printer]80", "is not a host name"),
        ("256.0.0.1:80", "is not an IPv4 address"),
        ("224.0.0.1", "is not the address of a host"),
        ("01:00:5e:00:00:01", "is not the hardware address of one station"),
        ("", "is not a host name"),
        ("\udcff\n", "is not a host name"),
    ],
)
def test_what_is_no_target_is_refused(text: str, words: str) -> None:
    with pytest.raises(InvalidRequestError, match=words.replace("(", r"\(")):
        parse_endpoint(text)


def test_a_mac_address_with_a_port_asks_for_brackets() -> None:
    with pytest.raises(InvalidRequestError) as refused:
        parse_endpoint(f"{MAC}:80")
    assert "[52:54:00:00:00:01]:80" in (refused.value.hint or "")


@pytest.mark.parametrize(("ports", "count", "first"), [(None, 3, None), ((80, 1), 3, 80), ((80, 3), 3, 80)])
def test_the_targets_port_is_one_or_as_many(ports: tuple[int, int] | None, count: int, first: int | None) -> None:
    assert first_port(ports, count) == first


@pytest.mark.parametrize(("ports", "count"), [((80, 2), 1), ((80, 2), 3)])
def test_ranges_of_different_length_are_refused(ports: tuple[int, int], count: int) -> None:
    with pytest.raises(InvalidRequestError, match="cannot take"):
        first_port(ports, count)


@given(
    st.sampled_from([address_target("192.168.137.9"), name_target("printer.home.arpa"), mac_target(MAC)]),
    st.integers(1, 65_000),
    st.integers(1, 500),
)
def test_what_is_printed_can_be_given_again(target: Target, internal: int, count: int) -> None:
    mapping = PortMapping(
        number=1,
        connection=UUID(int=0),
        name="any",
        protocol=Protocol.TCP,
        external=1,
        internal=internal,
        count=count,
        target=target,
    )
    assert parse_endpoint(endpoint_in_words(mapping)) == (target, (internal, count))
    assert parse_ports(ports_in_words(internal, count)) == (internal, count)
