"""Each kind of link gets the media type, the parts and the marks that it has on Windows.

The rows are the project's decision, one for one: which NETCON_MEDIATYPE a kind counts as, whether it may be public or
private, whether a bridge takes it. They are written down here a second time, on purpose not read from the product.
"""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icshare.model.connection import Characteristics, LinkOverride, MediaType
from icshare.model.link import (
    IFF_LOOPBACK,
    IFF_NOARP,
    IFF_POINTOPOINT,
    IfIndex,
    Link,
    LinkFacts,
    PppFacts,
)
from icshare.plan.classify import classify

NONE, DIRECT, ISDN, LAN = MediaType.NONE, MediaType.DIRECT, MediaType.ISDN, MediaType.LAN
PHONE, TUNNEL, PPPOE, BRIDGE = MediaType.PHONE, MediaType.TUNNEL, MediaType.PPPOE, MediaType.BRIDGE
OUT, IN = Characteristics.OUTGOING_ONLY, Characteristics.INCOMING_ONLY
HOSTED, STATION = Characteristics.HOSTED_NETWORK, Characteristics.VIRTUAL_STATION
WIFI_DIRECT, PLAIN = Characteristics.WIFI_DIRECT, Characteristics.NONE
POINT = IFF_POINTOPOINT | IFF_NOARP


def link(
    name: str = "if7", *, kind: str = "", arphrd: int = 1, flags: int = 0, address: str | None = None, **facts: Any
) -> Link:
    if address is None:
        address = "52:54:00:00:00:01" if arphrd == 1 else ""
    return Link(
        index=IfIndex(7),
        name=name,
        kind=kind,
        type=arphrd,
        flags=flags,
        address=address,
        facts=LinkFacts(**facts),
    )


def wifi(number: int | None, **facts: Any) -> Link:
    return link("wlan0", devtype="wlan", wireless=True, wireless_type=number, hardware=True, **facts)


def ppp(transport: str, *, server: bool = False, name: str = "ppp0") -> Link:
    return link(name, kind="ppp", arphrd=512, flags=POINT, ppp=PppFacts(transport=transport, server=server))


def ether(name: str) -> tuple[Link, MediaType, str, Characteristics]:
    return link(kind=name), LAN, "public private bridge", PLAIN


def tunnel(kind: str, arphrd: int = 1, *, bridge: bool = False) -> tuple[Link, MediaType, str, Characteristics]:
    flags = 0 if bridge else IFF_NOARP
    return link(kind=kind, arphrd=arphrd, flags=flags), TUNNEL, "public private" + " bridge" * bridge, PLAIN


ROWS: dict[str, tuple[Link, MediaType, str, Characteristics]] = {
    "Ethernet card": (link("eth0", hardware=True, driver="e1000e"), LAN, "public private bridge", PLAIN),
    "virtio": (link("ens3", hardware=True, driver="virtio_net"), LAN, "public private bridge", PLAIN),
    "USB RNDIS": (link("usb0", hardware=True, driver="rndis_host"), LAN, "public private bridge", PLAIN),
    "USB CDC Ethernet": (link("usb0", hardware=True, driver="cdc_ether"), LAN, "public private bridge", PLAIN),
    "USB CDC NCM": (link("usb0", hardware=True, driver="cdc_ncm"), LAN, "public private bridge", PLAIN),
    "iPhone tether": (link("eth1", hardware=True, driver="ipheth"), LAN, "public private bridge", PLAIN),
    "USB gadget": (link("usb0", devtype="gadget", hardware=True), LAN, "public private bridge", PLAIN),
    "Wi-Fi station": (wifi(2), LAN, "public private", PLAIN),
    "Wi-Fi of an unknown mode": (wifi(None), LAN, "public private", PLAIN),
    "Wi-Fi station with four addresses": (wifi(2, four_address=True), LAN, "public private bridge", PLAIN),
    "Wi-Fi access point": (wifi(3), LAN, "private bridge", HOSTED),
    "Wi-Fi access point's VLAN": (wifi(4), LAN, "private bridge", HOSTED),
    "Wi-Fi ad hoc": (wifi(1), LAN, "public private", PLAIN),
    "Wi-Fi mesh": (wifi(7), LAN, "public private bridge", PLAIN),
    "Wi-Fi Direct group owner": (wifi(9), LAN, "private bridge", WIFI_DIRECT),
    "Wi-Fi Direct client": (wifi(8), LAN, "public", WIFI_DIRECT),
    "Wi-Fi monitor by its mode": (wifi(6), NONE, "", PLAIN),
    "Wi-Fi monitor with 802.11 headers": (link("mon0", arphrd=801, wireless=True), NONE, "", PLAIN),
    "Wi-Fi monitor with Prism headers": (link("mon0", arphrd=802, wireless=True), NONE, "", PLAIN),
    "Wi-Fi monitor with radiotap headers": (link("mon0", arphrd=803, wireless=True), NONE, "", PLAIN),
    "Wi-Fi outside of a network": (wifi(11), NONE, "", PLAIN),
    "Wi-Fi neighbour awareness": (wifi(12), NONE, "", PLAIN),
    "second Wi-Fi station of a radio": (wifi(2, first_on_phy=False), LAN, "public private", STATION),
    "Bluetooth PAN": (link("bnep0", devtype="bluetooth", hardware=True), LAN, "public private bridge", PLAIN),
    "Bluetooth dial-up": (ppp("modem"), PHONE, "public", OUT),
    "FireWire": (link("firewire0", arphrd=24, hardware=True), LAN, "public private", PLAIN),
    "InfiniBand card": (link("ib0", arphrd=32, hardware=True), LAN, "public private", PLAIN),
    "InfiniBand child": (link("ib0.8001", kind="ipoib", arphrd=32), LAN, "public private", PLAIN),
    "bond": ether("bond"),
    "team": ether("team"),
    "VLAN": ether("vlan"),
    "macvlan": ether("macvlan"),
    "macvtap": (link(kind="macvtap"), LAN, "public private", PLAIN),
    "ipvlan": (link(kind="ipvlan"), LAN, "public private", PLAIN),
    "ipvtap": (link(kind="ipvtap"), LAN, "public private", PLAIN),
    "veth": ether("veth"),
    "dummy": (link(kind="dummy", flags=IFF_NOARP), LAN, "private bridge", PLAIN),
    "MACsec": ether("macsec"),
    "HSR": ether("hsr"),
    "DSA port": ether("dsa"),
    "queue over several links": (link("teql0", arphrd=65535, flags=IFF_NOARP, address=""), NONE, "", PLAIN),
    "L2TP of an older kernel": (link("l2tpeth0"), TUNNEL, "public private bridge", PLAIN),
    "ifb": (link(kind="ifb", flags=IFF_NOARP), NONE, "", PLAIN),
    "nlmon": (link(kind="nlmon", arphrd=824, flags=IFF_NOARP), NONE, "", PLAIN),
    "virtual socket monitor": (link("vsockmon0", arphrd=826, flags=IFF_NOARP), NONE, "", PLAIN),
    "CAN bus": (link("can0", arphrd=280, hardware=True), NONE, "", PLAIN),
    "virtual CAN bus": (link(kind="vcan", arphrd=280), NONE, "", PLAIN),
    "netdevsim": (link(kind="netdevsim"), LAN, "", PLAIN),
    "bridge": (link("br0", kind="bridge"), BRIDGE, "private", PLAIN),
    "Open vSwitch bridge": (link("br0", kind="openvswitch", switch=True), BRIDGE, "private", PLAIN),
    "Open vSwitch interface": (link("int0", kind="openvswitch"), LAN, "public private", PLAIN),
    "Open vSwitch datapath": (link("ovs-system", kind="openvswitch"), NONE, "", PLAIN),
    "VRF": (link(kind="vrf"), NONE, "", PLAIN),
    "loopback": (link("lo", arphrd=772, flags=IFF_LOOPBACK, address="00:00:00:00:00:00"), NONE, "", PLAIN),
    "PPPoE": (ppp("pppoe"), PPPOE, "public", OUT),
    "PPP over ATM": (ppp("atm"), PPPOE, "public", OUT),
    "Ethernet over ATM": (link("nas0", atm=True), LAN, "public bridge", PLAIN),
    "PPP over a modem": (ppp("modem"), PHONE, "public", OUT),
    "PPP of unknown origin": (ppp(""), PHONE, "public", OUT),
    "PPP over a cable": (ppp("serial"), DIRECT, "public private", PLAIN),
    "PPP of a VPN": (ppp("vpn"), TUNNEL, "public", OUT),
    "PPPoE server's end": (ppp("pppoe", server=True), PPPOE, "", IN),
    "VPN server's end": (ppp("vpn", server=True), TUNNEL, "", IN),
    "answering modem": (ppp("modem", server=True), PHONE, "", IN),
    "answering cable": (ppp("serial", server=True), DIRECT, "", IN),
    "ISDN": (ppp("isdn"), ISDN, "public", OUT),
    "ISDN of isdn4linux": (ppp("", name="ippp0"), ISDN, "public", OUT),
    "SLIP": (link("sl0", arphrd=256, flags=POINT), DIRECT, "public private", PLAIN),
    "CSLIP": (link("sl0", arphrd=257, flags=POINT), DIRECT, "public private", PLAIN),
    "SLIP6": (link("sl0", arphrd=258, flags=POINT), DIRECT, "public private", PLAIN),
    "CSLIP6": (link("sl0", arphrd=259, flags=POINT), DIRECT, "public private", PLAIN),
    "adaptive SLIP": (link("sl0", arphrd=264, flags=POINT), DIRECT, "public private", PLAIN),
    "SLIP server's end": (
        link("sl0", arphrd=256, flags=POINT, ppp=PppFacts(transport="serial", server=True)),
        DIRECT,
        "",
        IN,
    ),
    "PLIP": (link("plip0", flags=POINT), DIRECT, "public private", PLAIN),
    "mobile broadband, raw IP": (link("wwan0", arphrd=519, flags=POINT, hardware=True), PHONE, "public", OUT),
    "mobile broadband, kind wwan": (link("wwan0", kind="wwan", arphrd=65534, flags=POINT), PHONE, "public", OUT),
    "mobile broadband, rmnet": (link("rmnet0", kind="rmnet", arphrd=519, flags=POINT), PHONE, "public", OUT),
    "mobile broadband, like Ethernet": (link("wwan0", devtype="wwan", hardware=True), PHONE, "public", OUT),
    "mobile broadband, by its driver": (link("eth7", driver="qmi_wwan", hardware=True), PHONE, "public", OUT),
    "WiMAX": (link("wmx0", devtype="wimax", hardware=True), LAN, "public bridge", PLAIN),
    "tun": (link("tun0", kind="tun", arphrd=65534, flags=POINT, tun_flags=1), TUNNEL, "public private", PLAIN),
    "tap of a VPN": (link("tap0", kind="tun", tun_owner="openvpn"), TUNNEL, "public private bridge", PLAIN),
    "tap of nobody": (link("tap0", kind="tun"), TUNNEL, "public private bridge", PLAIN),
    "tap of QEMU": (link("tap0", kind="tun", tun_owner="qemu-system-x86"), LAN, "public private bridge", PLAIN),
    "tap of a long name": (link("tap0", kind="tun", tun_owner="cloud-hyperviso"), LAN, "public private bridge", PLAIN),
    "WireGuard": (link("wg0", kind="wireguard", arphrd=65534, flags=POINT), TUNNEL, "public private", PLAIN),
    "GRE": tunnel("gre", 778),
    "GRE over IPv6": tunnel("ip6gre", 823),
    "Ethernet in GRE": tunnel("gretap", bridge=True),
    "Ethernet in GRE over IPv6": tunnel("ip6gretap", bridge=True),
    "ERSPAN": tunnel("erspan", bridge=True),
    "ERSPAN over IPv6": tunnel("ip6erspan", bridge=True),
    "VXLAN": tunnel("vxlan", bridge=True),
    "GENEVE": tunnel("geneve", bridge=True),
    "L2TP Ethernet": (link("l2tpeth0", devtype="l2tpeth"), TUNNEL, "public private bridge", PLAIN),
    "B.A.T.M.A.N.": tunnel("batadv", bridge=True),
    "IP in IP": tunnel("ipip", 768),
    "IP in IPv6": tunnel("ip6tnl", 769),
    "IPsec VTI": tunnel("vti", 768),
    "IPsec VTI over IPv6": tunnel("vti6", 769),
    "IPsec XFRM": tunnel("xfrm", 65534),
    "SIT": (link(kind="sit", arphrd=776, flags=IFF_NOARP), TUNNEL, "public", PLAIN),
    "IEEE 802.15.4": (link("wpan0", arphrd=804), NONE, "", PLAIN),
    "IEEE 802.15.4 monitor": (link("monitor0", arphrd=805), NONE, "", PLAIN),
    "6LoWPAN": (link("lowpan0", kind="lowpan", arphrd=825), LAN, "public private", PLAIN),
    "infrared": (link("irda0", arphrd=783), DIRECT, "public", PLAIN),
    "unknown, like Ethernet": (link(kind="newfangled"), LAN, "public private bridge", PLAIN),
    "unknown, like Ethernet between two": (link(flags=POINT), LAN, "public private bridge", PLAIN),
    "unknown, point-to-point": (link(arphrd=9999, flags=IFF_POINTOPOINT), TUNNEL, "public private", PLAIN),
    "unknown, without ARP": (link(arphrd=9999, flags=IFF_NOARP), TUNNEL, "public private", PLAIN),
    "unknown, nothing like it": (link(arphrd=9999), NONE, "", PLAIN),
    "unknown, Ethernet with a strange address": (link(address="01:02"), NONE, "", PLAIN),
}

FALLBACKS = [
    ("tunl0", "ipip"),
    ("gre0", "gre"),
    ("gretap0", "gretap"),
    ("erspan0", "erspan"),
    ("sit0", "sit"),
    ("ip6tnl0", "ip6tnl"),
    ("ip6gre0", "ip6gre"),
    ("ip_vti0", "vti"),
    ("ip6_vti0", "vti6"),
]


@pytest.mark.parametrize("row", ROWS)
def test_kind_counts_as_on_windows(row: str) -> None:
    one, media, parts, flags = ROWS[row]
    found = classify(one)
    words = [
        word
        for word, yes in (("public", found.public), ("private", found.private), ("bridge", found.bridgeable))
        if yes
    ]
    assert (found.media, " ".join(words), found.flags) == (media, parts, flags)
    assert found.label


@pytest.mark.parametrize(("name", "kind"), FALLBACKS)
def test_fallback_devices_of_tunnel_modules_are_hidden_and_nothing(name: str, kind: str) -> None:
    found = classify(link(name, kind=kind, arphrd=768, flags=IFF_NOARP))
    assert (found.media, found.public, found.private, found.bridgeable, found.hidden) == (
        NONE,
        False,
        False,
        False,
        True,
    )


def test_only_what_is_nobodys_connection_is_hidden() -> None:
    hidden = {"loopback", "Open vSwitch datapath", "queue over several links"}
    assert {row for row, (one, *_) in ROWS.items() if classify(one).hidden} == hidden


def test_a_real_card_may_be_called_like_a_fallback_device() -> None:
    assert classify(link("gre0", hardware=True, driver="e1000e")).media is LAN


def test_the_hardware_type_comes_before_the_kind() -> None:
    assert classify(link("fake", kind="tun", arphrd=24)).media is LAN
    assert classify(link("fake", kind="tun", arphrd=256)).media is DIRECT
    assert classify(link("fake", kind="tun", arphrd=512)).media is PHONE


def test_the_owner_of_a_tap_is_told_by_its_beginning_in_any_case() -> None:
    assert classify(link("tap0", kind="tun", tun_owner="VBoxHeadless")).media is LAN
    assert classify(link("tap0", kind="tun", tun_owner="notqemu")).media is TUNNEL


def test_an_override_changes_the_media_and_brings_its_usual_parts() -> None:
    found = classify(link("eth0", hardware=True), LinkOverride(media=PHONE))
    assert (found.media, found.public, found.private, found.bridgeable) == (PHONE, True, False, False)
    assert found.flags == OUT
    found = classify(link("tap0", kind="tun"), LinkOverride(media=LAN))
    assert (found.media, found.public, found.private, found.bridgeable) == (LAN, True, True, True)
    assert not classify(link("tun0", kind="tun", arphrd=65534), LinkOverride(media=LAN)).bridgeable


@pytest.mark.parametrize("media", MediaType)
def test_an_override_can_name_every_media_type(media: MediaType) -> None:
    found = classify(link("eth0"), LinkOverride(media=media))
    assert found.media is (media if media < MediaType.SHAREDACCESSHOST_LAN else NONE)


def test_an_override_with_the_media_that_it_is_changes_nothing() -> None:
    for one, media, _, _ in ROWS.values():
        assert classify(one, LinkOverride(media=media)) == classify(one, LinkOverride()) == classify(one)


def test_an_override_says_what_a_link_may_be_used_for() -> None:
    bridge = classify(link("br0", kind="bridge"), LinkOverride(public=True, private=False, bridgeable=True))
    assert (bridge.media, bridge.public, bridge.private, bridge.bridgeable) == (BRIDGE, True, False, True)


def test_an_override_makes_a_caller_an_answerer_and_back() -> None:
    assert classify(ppp("vpn"), LinkOverride(incoming_only=True)).flags == IN
    assert classify(ppp("vpn", server=True), LinkOverride(incoming_only=False)) == classify(ppp("vpn"))
    assert classify(link("eth0"), LinkOverride(incoming_only=False)) == classify(link("eth0"))


def test_another_media_does_not_make_an_answerer_a_caller() -> None:
    assert classify(ppp("vpn", server=True), LinkOverride(media=PHONE)).flags == IN


@given(
    st.builds(
        Link,
        index=st.just(IfIndex(7)),
        name=st.text(max_size=15),
        kind=st.text(max_size=8) | st.sampled_from(["tun", "bridge", "veth", "openvswitch"]),
        type=st.integers(0, 65535) | st.sampled_from([1, 24, 512, 519, 803, 65534]),
        flags=st.integers(0, 0xFFFFFFFF),
        address=st.sampled_from(["", "52:54:00:00:00:01", "01:02"]),
        facts=st.builds(
            LinkFacts,
            devtype=st.text(max_size=8),
            wireless=st.booleans(),
            wireless_type=st.none() | st.integers(0, 20),
            ppp=st.none() | st.builds(PppFacts, transport=st.text(max_size=6), server=st.booleans()),
        ),
    )
)
def test_every_link_whatever_it_shows_gets_a_consistent_class(one: Link) -> None:
    found = classify(one)
    assert found.label
    if found.media is NONE:
        assert not found.public
        assert not found.private
        assert not found.bridgeable
    if found.bridgeable:
        assert one.type == 1
    assert not (found.flags & IN and found.flags & OUT)
