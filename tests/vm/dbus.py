"""As much of D-Bus as it takes to be Bluetooth's user: calls with simple arguments, and yes to every question.

BlueZ keeps a discovery, a network server and a connection for as long as the program that asked for it is on the bus,
and asks that program whether devices may pair. So this is one connection that stays, and not a call of ``busctl``.

Source:
    D-Bus Specification 0.41, "Message Protocol" and "Authentication Protocol"; BlueZ's doc/agent-api.txt.
"""

import os
import socket
import struct
import time
from pathlib import Path
from types import TracebackType
from typing import Self

CONFIGURATION = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>system</type><listen>unix:path={socket}</listen><auth>EXTERNAL</auth><policy context="default">
<allow user="*"/><allow own="*"/><allow send_type="method_call"/><allow send_type="signal"/>
<allow send_requested_reply="true" send_type="method_return"/><allow send_requested_reply="true" send_type="error"/>
<allow receive_type="method_call"/><allow receive_type="method_return"/><allow receive_type="error"/>
<allow receive_type="signal"/></policy></busconfig>
"""

METHOD_CALL, METHOD_RETURN, ERROR = 1, 2, 3
_PATH, _INTERFACE, _MEMBER, _ERROR_NAME, _REPLY_SERIAL, _DESTINATION, _SENDER, _SIGNATURE = range(1, 9)
_FIXED = struct.Struct("<BBBBIII")  # order of bytes, type, flags, version, length of the body, serial, length of fields


class BusError(Exception):
    """The answer to a call was an error; the message is its name and text."""


class Bus:
    """A connection to a bus, which says yes to whatever it is asked."""

    def __init__(self, path: Path, *, seconds: float) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(seconds)
        self._socket.connect(str(path))
        self._socket.sendall(b"\0AUTH EXTERNAL " + str(os.getuid()).encode().hex().encode() + b"\r\n")
        self._unread = b""
        answer = self._line()
        assert answer.startswith(b"OK "), answer
        self._socket.sendall(b"BEGIN\r\n")
        self._serial = 0
        self.call("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus.Hello")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def call(self, destination: str, path: str, method: str, signature: str = "", body: bytes = b"") -> bytes:
        """Call a method (with its interface before the last dot) and return the body of the answer.

        Raises:
            BusError: The answer is an error.
        """
        interface, _, member = method.rpartition(".")
        self._serial += 1
        serial = self._serial
        fields: dict[int, tuple[str, str | int]] = {
            _PATH: ("o", path),
            _INTERFACE: ("s", interface),
            _MEMBER: ("s", member),
        }
        fields[_DESTINATION] = ("s", destination)
        self._send(METHOD_CALL, serial, fields, signature, body)
        while True:
            kind, answered, text, found = self._receive()
            if answered != serial:
                continue
            if kind == ERROR:
                raise BusError(f"{method}: {text}: {found[4:-1].decode(errors='replace')}")
            return found

    def serve(self, seconds: float) -> None:
        """Answer what comes for some time."""
        deadline = time.monotonic() + seconds
        whole = self._socket.gettimeout()
        while (left := deadline - time.monotonic()) > 0:
            self._socket.settimeout(left)
            try:
                self._receive()
            except TimeoutError:
                break
        self._socket.settimeout(whole)

    def _send(
        self, kind: int, serial: int, fields: dict[int, tuple[str, str | int]], signature: str, body: bytes
    ) -> None:
        packed = b""
        for code, (what, value) in fields.items():
            packed = aligned(packed, 8) + bytes([code]) + signature_of(what)
            packed = aligned(packed, 4) + (struct.pack("<I", value) if isinstance(value, int) else string(value))
        if signature:
            packed = aligned(packed, 8) + bytes([_SIGNATURE]) + signature_of("g") + signature_of(signature)
        head = _FIXED.pack(ord("l"), kind, 0, 1, len(body), serial, len(packed)) + packed
        self._socket.sendall(aligned(head, 8) + body)

    def _receive(self) -> tuple[int, int, str, bytes]:
        """Return the type of the next message, the serial that it answers, an error's name, and the body."""
        head = self._read(_FIXED.size)
        order, kind, _, _, length, serial, fields_length = _FIXED.unpack(head)
        assert order == ord("l"), "a bus of another byte order"
        fields = parse_fields(self._read((fields_length + 7) // 8 * 8)[:fields_length])
        body = self._read(length)
        if kind == METHOD_CALL:
            self._serial += 1
            answer: dict[int, tuple[str, str | int]] = {_REPLY_SERIAL: ("u", serial)}
            answer[_DESTINATION] = ("s", str(fields[_SENDER]))
            self._send(METHOD_RETURN, self._serial, answer, "", b"")
        answered = fields.get(_REPLY_SERIAL, 0)
        assert isinstance(answered, int)
        return kind, answered, str(fields.get(_ERROR_NAME, "")), body

    def _line(self) -> bytes:
        while b"\r\n" not in self._unread:
            self._unread += self._socket.recv(4096)
        line, _, self._unread = self._unread.partition(b"\r\n")
        return line

    def _read(self, length: int) -> bytes:
        while len(self._unread) < length:
            more = self._socket.recv(65536)
            assert more, "the bus has closed the connection"
            self._unread += more
        found, self._unread = self._unread[:length], self._unread[length:]
        return found


def parse_fields(packed: bytes) -> dict[int, str | int]:
    """Return the fields of a message's header by their codes."""
    found: dict[int, str | int] = {}
    at = 0
    while at < len(packed):
        at = (at + 7) // 8 * 8
        code, what = packed[at], chr(packed[at + 2])
        at += 4
        if what == "g":
            length = packed[at]
            found[code] = packed[at + 1 : at + 1 + length].decode()
            at += length + 2
            continue
        at = (at + 3) // 4 * 4
        (number,) = struct.unpack_from("<I", packed, at)
        at += 4
        if what == "u":
            found[code] = number
        else:
            found[code] = packed[at : at + number].decode()
            at += number + 1
    return found


def aligned(packed: bytes, boundary: int) -> bytes:
    """Return *packed* filled up to the next multiple of *boundary*."""
    return packed + bytes(-len(packed) % boundary)


def signature_of(text: str) -> bytes:
    """Return a signature (type g)."""
    return bytes([len(text)]) + text.encode() + b"\0"


def string(text: str) -> bytes:
    """Return a string or path (types s and o) that stands at a multiple of 4."""
    return struct.pack("<I", len(text.encode())) + text.encode() + b"\0"


def strings(*texts: str) -> bytes:
    """Return strings or paths after each other."""
    packed = b""
    for text in texts:
        packed = aligned(packed, 4) + string(text)
    return packed


def switched_on(interface: str, name: str) -> bytes:
    """Return the arguments (type ssv) that set a property to true."""
    return aligned(strings(interface, name) + signature_of("b"), 4) + struct.pack("<I", 1)


def option(name: str, value: str) -> bytes:
    """Return options (type a{sv}) of which there is one, a string."""
    entry = string(name) + signature_of("s")
    entry = aligned(entry, 4) + string(value)
    return struct.pack("<II", len(entry), 0) + entry  # a dictionary's entries stand at multiples of 8
