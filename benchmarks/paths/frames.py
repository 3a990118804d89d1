"""Small packets made by the kernel itself by BPF_PROG_TEST_RUN with live frames (Linux 5.18).

No program that sends packets keeps up with a fast path; the kernel's test runner does, as all it does is to run
``generate`` of ``generator.bpf.c`` over and over, and to send what comes out as XDP sends what it redirects. ``count``
on the far end's link ends the packets by the cheapest of means. So nearly all of the time that passes is the gateway's.

Source:
    struct bpf_link_create_opts in ``bpf/bpf.h`` of libbpf 1.1.
"""

import ctypes
import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from ipaddress import IPv4Address
from pathlib import Path
from struct import Struct
from typing import Final

from benchmarks.paths import live
from benchmarks.paths.rig import CannotRunError, Rig, within

from icshare.errors import HostError, NotSupportedError, PrivilegeError
from icshare.host.fastpath.libbpf import LIBRARY, Map, Object, possible_cpus

OBJECT: Final = Path(__file__).with_name("generator.bpf.o")
IP_BYTES: Final = 46

_ATTACH_XDP: Final = 37  # enum bpf_attach_type
_XDP_NATIVE: Final = 4  # XDP_FLAGS_DRV_MODE
_FIRST: Final = bytes(4)
_SOURCE: Final = Struct("=48sIIII")
_SEEN: Final = Struct("=Q4s4s")
_OUT: Final = Struct("=I")
_IP: Final = Struct("!BBHHHBBH8s")
_SIOCGIFHWADDR: Final = 0x8927
_IFREQ: Final = Struct("=16sH22s")


class _LinkOptions(ctypes.Structure):
    """The beginning of struct bpf_link_create_opts."""

    _fields_ = (("sz", ctypes.c_size_t), ("flags", ctypes.c_uint32), ("padding", ctypes.c_uint32))


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """Where packets come from and go to.

    Attributes:
        sender: Namespace they seem to come from; they leave by its ``eth0``.
        first_hop: Link of the gateway that they come in by.
        source: Their source address.
        destination: Their destination address.
        answers: They come from the service, and not from its client.
    """

    sender: str
    first_hop: str
    source: IPv4Address
    destination: IPv4Address
    answers: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Burst:
    """What came of some packets.

    Attributes:
        sent: How many were made.
        arrived: How many were counted at the other end.
        seconds: Of the processor, from the first to the last.
        source: Source address of the last one that arrived.
        destination: Its destination address.
    """

    sent: int
    arrived: int
    seconds: float
    source: IPv4Address
    destination: IPv4Address

    @property
    def rate(self) -> float:
        """Packets that arrived in one second of the processor."""
        return self.arrived / self.seconds


class Frames:
    """The generator and its counterpart, loaded; closed by *stack*."""

    def __init__(self, stack: ExitStack, *, batch: int = live.BATCH) -> None:
        """Load them; *batch* frames are handed on at a time.

        Raises:
            CannotRunError: The kernel does not take them, or libbpf is missing.
        """
        self._object = load(stack, OBJECT)
        self._source = stack.enter_context(self._object.map(".data.source"))
        self._seen: Map = stack.enter_context(self._object.map("seen"))
        self._cpu = min(os.sched_getaffinity(0))
        self._batch = batch

    @contextmanager
    def counting(self, rig: Rig) -> Iterator[None]:
        """Have both far ends of a rig count packets and end them, for as long as this lasts."""
        with ExitStack() as stack:
            for node in (rig.client, rig.internet):
                attach(stack, self._object.program("count"), node, "eth0")
            yield

    def send(self, rig: Rig, way: Way, flows: int, packets: int) -> Burst:
        """Send *packets*, one of each of *flows* flows in turn, on one CPU; return what came of them.

        Raises:
            CannotRunError: The kernel does not send live frames.
        """
        sender = link_index(way.sender, "eth0")
        headers = _headers(way, hardware_address(rig.gateway, way.first_hop), hardware_address(way.sender, "eth0"))
        self._source.update(_FIRST, _SOURCE.pack(headers, flows, 0, sender, way.answers))
        before = self._count()[0]
        seconds = live.send(
            self._object.program("generate"), way.sender, sender, packets, cpu=self._cpu, batch=self._batch
        )
        after, source, destination = self._count()
        return Burst(sent=packets, arrived=after - before, seconds=seconds, source=source, destination=destination)

    def _count(self) -> tuple[int, IPv4Address, IPv4Address]:
        """Return how many packets were counted, and the addresses of the last one on the CPU that sends."""
        values = self._seen.lookup(_FIRST) or b""
        found = list(_SEEN.iter_unpack(values))
        assert len(found) == possible_cpus()
        _, source, destination = found[self._cpu]
        return sum(one[0] for one in found), IPv4Address(source), IPv4Address(destination)


def load(stack: ExitStack, file: Path) -> Object:
    """Load a BPF object until *stack* ends.

    Raises:
        CannotRunError: The kernel does not take it, or libbpf is missing.
    """
    name = file.name.removesuffix(".bpf.o")
    try:
        found = stack.enter_context(Object(file.read_bytes(), name))
        found.load()
    except (NotSupportedError, PrivilegeError) as error:
        raise CannotRunError(f"{name} cannot be loaded: {error}") from error
    return found


def attach(stack: ExitStack, program: int, node: str, link: str) -> None:
    """Run an XDP program of a file descriptor on a link in the namespace *node* until *stack* ends.

    Raises:
        HostError: The kernel refused.
    """

    def create() -> int:
        options = _LinkOptions(sz=ctypes.sizeof(_LinkOptions), flags=_XDP_NATIVE)
        return int(_library().bpf_link_create(program, link_index_here(link), _ATTACH_XDP, ctypes.byref(options)))

    found = within(node, create)
    if found < 0:
        raise HostError(f"cannot attach to {link} of {node}: {os.strerror(-found)}")
    stack.callback(os.close, found)


def redirect(stack: ExitStack, node: str, link: str, out: str) -> None:
    """Send what comes in by *link* out by *out*, as it is, until *stack* ends."""
    program = stack.enter_context(Object(OBJECT.read_bytes(), "generator"))
    program.leave_out("generate")
    program.leave_out("count")
    program.load()
    with program.map(".data.out") as one:
        one.update(_FIRST, _OUT.pack(link_index(node, out)))
    attach(stack, program.program("redirect"), node, link)


def link_index(node: str, link: str) -> int:
    """Return the index of a link in a namespace."""
    return within(node, lambda: link_index_here(link))


def link_index_here(link: str) -> int:
    """Return the index of a link in the network namespace of this thread."""
    return socket.if_nametoindex(link)


def hardware_address(node: str, link: str) -> bytes:
    """Return the hardware address of a link in a namespace."""

    def ask() -> bytes:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
            answer = fcntl.ioctl(any_socket, _SIOCGIFHWADDR, _IFREQ.pack(link.encode(), 0, b""))
        return bytes(_IFREQ.unpack(answer)[2][:6])

    return within(node, ask)


def _headers(way: Way, destination: bytes, source: bytes) -> bytes:
    """Return Ethernet and IPv4 headers, their checksum included, for packets that differ in their ports only."""
    addresses = way.source.packed + way.destination.packed
    fields = (0x45, 0, IP_BYTES, 0, 0x4000, 64, socket.IPPROTO_UDP)
    total = sum(one for (one,) in Struct("!H").iter_unpack(_IP.pack(*fields, 0, addresses)))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return destination + source + b"\x08\0" + _IP.pack(*fields, ~total & 0xFFFF, addresses)


@cache
def _library() -> ctypes.CDLL:
    library = ctypes.CDLL(LIBRARY)
    library.bpf_link_create.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_void_p]
    return library
