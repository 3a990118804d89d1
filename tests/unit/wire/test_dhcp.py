"""The questions we put to DHCP servers, and their answers, octet by octet."""

import struct
from ipaddress import IPv4Address

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from icshare.model.names import MacAddress
from icshare.wire import dhcp
from icshare.wire.dhcp import DhcpReply, MessageType, parse_reply

MAC = MacAddress("02:00:5e:10:00:01")
SERVER_MAC = MacAddress("02:00:5e:10:00:fe")
XID = 0x12345678

macs = st.binary(min_size=6, max_size=6).map(lambda raw: MacAddress(bytes([raw[0] & 0xFE, *raw[1:]]).hex(":")))


def ones_complement_sum(octets: bytes) -> int:
    total: int = sum(struct.unpack(f"!{len(octets) // 2}H", octets))
    while total > 0xFFFF:
        total = (total >> 16) + (total & 0xFFFF)
    return total


def answer(  # every part of a server's frame can be spoilt alone
    options: bytes = bytes((53, 1, 2, 54, 4, 198, 51, 100, 1, 255)),
    *,
    op: int = 2,
    offered: str = "198.51.100.20",
    file: bytes = b"",
    sname: bytes = b"",
    cookie: bytes = bytes((99, 130, 83, 99)),
    ports: tuple[int, int] = (67, 68),
    fragment: int = 0,
    protocol: int = 17,
    ethertype: int = 0x0800,
    trailer: bytes = b"",
) -> bytes:
    sender, client = (bytes.fromhex(mac.replace(":", "")) for mac in (SERVER_MAC, MAC))
    message = struct.pack(
        "!BBBBIHH4s4s4s4s16s64s128s4s",
        *(op, 1, 6, 0, XID, 0, 0x8000, bytes(4), IPv4Address(offered).packed, bytes(4), bytes(4)),
        *(client, sname, file, cookie),
    )
    message += options
    datagram = struct.pack("!HHHH", *ports, 8 + len(message), 0) + message
    header = struct.pack(
        "!BBHHHBBH4s4s",
        *(0x45, 0, 20 + len(datagram), 0, fragment, 64, protocol, 0),
        *(IPv4Address("198.51.100.1").packed, b"\xff" * 4),
    )
    return b"\xff" * 6 + sender + struct.pack("!H", ethertype) + header + datagram + trailer


OFFER = DhcpReply(
    kind=MessageType.OFFER,
    transaction=XID,
    client=MAC,
    server=IPv4Address("198.51.100.1"),
    source=IPv4Address("198.51.100.1"),
    source_mac=SERVER_MAC,
    offered=IPv4Address("198.51.100.20"),
)


def test_an_offer_is_read() -> None:
    assert parse_reply(answer()) == OFFER


def test_the_padding_of_a_short_frame_is_no_part_of_the_message() -> None:
    assert parse_reply(answer(trailer=bytes(40))) == OFFER


def test_a_refusal_offers_nothing_whatever_it_carries() -> None:
    reply = parse_reply(answer(bytes((53, 1, 6, 255))))
    assert reply is not None
    assert (reply.kind, reply.offered) == (MessageType.NAK, None)


def test_a_server_without_identifier_goes_by_its_address() -> None:
    reply = parse_reply(answer(bytes((53, 1, 5, 255))))
    assert reply is not None
    assert (reply.kind, reply.server) == (MessageType.ACK, IPv4Address("198.51.100.1"))


@pytest.mark.parametrize(("overload", "where"), [(1, "file"), (2, "sname"), (3, "file"), (3, "sname")])
def test_options_are_also_looked_for_where_the_server_had_room(overload: int, where: str) -> None:
    more = {where: bytes((54, 4, 198, 51, 100, 9, 255))}
    reply = parse_reply(answer(bytes((53, 1, 2, 52, 1, overload, 255)), **more))  # type: ignore[arg-type]
    assert reply is not None
    assert reply.server == IPv4Address("198.51.100.9")


def test_padding_between_options_is_skipped() -> None:
    assert parse_reply(answer(bytes((0, 0, 53, 1, 2, 0, 54, 4, 198, 51, 100, 1, 255)))) == OFFER


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(answer()[:13], id="half a header"),
        pytest.param(answer()[:30], id="half a packet"),
        pytest.param(answer()[:200], id="less than it says"),
        pytest.param(answer(ethertype=0x86DD), id="not IPv4"),
        pytest.param(answer(protocol=6), id="not UDP"),
        pytest.param(answer(fragment=0x2000), id="a first fragment"),
        pytest.param(answer(fragment=1), id="a later fragment"),
        pytest.param(answer(ports=(68, 67)), id="a client's"),
        pytest.param(answer(op=1), id="a request"),
        pytest.param(answer(cookie=b"BOOT"), id="BOOTP with another vendor"),
        pytest.param(answer(b""), id="BOOTP without options"),
        pytest.param(answer(bytes((53, 1, 3, 255))), id="a client's message type"),
        pytest.param(answer(bytes((53, 2, 2, 2, 255))), id="a long message type"),
        pytest.param(answer(bytes((53, 1, 2, 54, 3, 1, 2, 3, 255))), id="a short identifier"),
        pytest.param(answer(bytes((53,))), id="an option without length"),
        pytest.param(answer(bytes((53, 9, 2))), id="an option longer than the message"),
        pytest.param(b"\xff" * 6 + b"\x01" + answer()[7:], id="sent by a group"),
    ],
)
def test_what_is_no_answer_of_a_server_is_passed_over(frame: bytes) -> None:
    assert parse_reply(frame) is None


def test_a_datagram_too_short_for_a_message_is_passed_over() -> None:
    frame = bytearray(answer()[: 14 + 20 + 8 + 100])
    frame[16:18] = struct.pack("!H", 20 + 8 + 100)
    frame[38:40] = struct.pack("!H", 8 + 100)
    assert parse_reply(bytes(frame)) is None


def test_an_ip_header_that_lies_about_its_length_is_passed_over() -> None:
    frame = bytearray(answer())
    frame[14] = 0x4F
    assert parse_reply(bytes(frame)) is None
    frame[14] = 0x44
    assert parse_reply(bytes(frame)) is None


@given(st.binary(max_size=700))
@example(b"\xff" * 700)
def test_no_octets_break_the_parser(frame: bytes) -> None:
    parse_reply(frame)


@given(st.data())
def test_no_damage_to_an_answer_breaks_the_parser(data: st.DataObject) -> None:
    frame = bytearray(answer())
    for _ in range(data.draw(st.integers(1, 5))):
        frame[data.draw(st.integers(0, len(frame) - 1))] = data.draw(st.integers(0, 255))
    parse_reply(bytes(frame[: data.draw(st.integers(0, len(frame)))]))


@given(macs, st.integers(0, 2**32 - 1))
def test_a_question_is_a_whole_frame_from_nobody_to_everybody(mac: MacAddress, transaction: int) -> None:
    for question in (dhcp.discover, dhcp.inform, dhcp.reboot_request):
        frame = question(mac, transaction)
        assert frame[:14] == b"\xff" * 6 + bytes.fromhex(mac.replace(":", "")) + b"\x08\x00"
        header, datagram = frame[14:34], frame[34:]
        assert ones_complement_sum(header) == 0xFFFF
        assert struct.unpack("!H", header[2:4])[0] == len(header) + len(datagram)
        assert header[12:] == bytes(4) + b"\xff" * 4
        pseudo_header = header[12:] + struct.pack("!BBH", 0, 17, len(datagram))
        assert ones_complement_sum(pseudo_header + datagram) == 0xFFFF
        assert struct.unpack("!HHH", datagram[:6]) == (68, 67, len(datagram))
        message = datagram[8:]
        assert len(message) >= 300
        assert message[:4] == bytes((1, 1, 6, 0))
        assert struct.unpack("!I", message[4:8])[0] == transaction
        assert message[10:12] == b"\x80\x00"
        assert message[12:16] == (b"\xff" * 4 if question is dhcp.inform else bytes(4))
        assert message[16:28] == bytes(12)
        assert message[28:34].hex(":") == mac


def test_the_questions_differ_in_what_they_ask() -> None:
    assert dhcp.discover(MAC, XID)[282:].startswith(bytes((53, 1, 1)))
    assert dhcp.inform(MAC, XID)[282:].startswith(bytes((53, 1, 8)))
    assert dhcp.reboot_request(MAC, XID)[282:].startswith(bytes((53, 1, 3, 50, 4, 192, 0, 2, 1)))
    # In this state the client names no server (RFC 2131 section 4.3.2).
    assert bytes((54, 4)) not in dhcp.reboot_request(MAC, XID)[282:]


def test_our_own_questions_are_no_answers() -> None:
    assert parse_reply(dhcp.discover(MAC, XID)) is None
    assert parse_reply(dhcp.inform(MAC, XID)) is None
    assert parse_reply(dhcp.reboot_request(MAC, XID)) is None
