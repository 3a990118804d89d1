"""Which connection becomes the access point."""

from dataclasses import replace

import pytest
from tests.hosts import connections_of, snapshot

from icshare.errors import InvalidRequestError
from icshare.model.connection import Connection
from icshare.model.link import LinkFacts
from icshare.plan.radiochoice import choose_radio, is_wireless

NAMES = ("eth0", "eth1", "wlan0", "wlan1")


def connections(names: tuple[str, ...] = NAMES) -> tuple[Connection, ...]:
    host = snapshot({"links": [{"name": name} for name in names]})
    radio = LinkFacts(wireless=True, wireless_type=2, hardware=True)
    links = tuple(replace(one, facts=radio) if one.name.startswith("wlan") else one for one in host.links)
    return tuple(connections_of(replace(host, links=links)))


def test_a_wi_fi_link_is_known_by_its_kind() -> None:
    assert [one.interface for one in connections() if is_wireless(one)] == ["wlan0", "wlan1"]


@pytest.mark.parametrize(
    ("public", "privates", "radio"),
    [
        ("eth0", ["wlan0"], "wlan0"),
        ("eth0", ["eth1", "wlan1"], "wlan1"),
        ("wlan0", ["wlan1"], "wlan1"),
        ("wlan0", ["wlan0"], "wlan0"),
        ("wlan0", ["eth0", "wlan0"], "wlan0"),
        ("auto", ["wlan0", "wlan0"], "wlan0"),
    ],
)
def test_the_one_among_the_privates_is_the_radio(public: str, privates: list[str], radio: str) -> None:
    assert choose_radio(public, privates, connections()) == radio


@pytest.mark.parametrize(
    ("public", "privates", "names", "words", "hint"),
    [
        ("eth0", ["wlan0", "wlan1"], NAMES, "one radio, and wlan0, wlan1 are 2", "name one"),
        ("wlan0", ["wlan0", "wlan1"], NAMES, "one radio, and wlan0, wlan1 are 2", "name one"),
        ("eth0", ["eth1"], NAMES, "among eth1", "of Wi-Fi here: wlan0, wlan1"),
        ("wlan0", ["eth0"], NAMES, "among eth0", "icshare share wlan0 wlan0"),
        ("eth0", ["eth1", "no"], ("eth0", "eth1"), "among eth1, no", "no Wi-Fi connection"),
    ],
)
def test_none_or_two_are_refused(
    public: str, privates: list[str], names: tuple[str, ...], words: str, hint: str
) -> None:
    with pytest.raises(InvalidRequestError, match=words) as refusal:
        choose_radio(public, privates, connections(names))
    assert refusal.value.hint is not None
    assert hint in refusal.value.hint
