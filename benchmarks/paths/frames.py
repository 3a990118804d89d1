"""Small packets made by the kernel itself by BPF_PROG_TEST_RUN with live frames (Linux 5.18).

No program that sends packets keeps up with a fast path; the kernel's test runner does, as all it does is to run
``generate`` of ``generator.bpf.c`` over and over, and to send what comes out as XDP sends what it redirects. ``count``
on the far end's link ends the packets by the cheapest of means. So nearly all of the time that passes is the gateway's.

Time is the processor's: what it worked for the thread that sends, in whose course the kernel forwards the packets as
well, and for ksoftirqd, to which it leaves them when there are too many at a time. On a machine that does nothing else
that is the time on the wall; on one that does, the others' share is not counted.

Source:
    ``Documentation/bpf/bpf_prog_run.rst`` of Linux; ``bpf/bpf.h`` of libbpf 1.1: struct bpf_test_run_opts, struct
    bpf_link_create_opts.
"""

import contextlib
import ctypes
import fcntl
import os
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from ipaddress import IPv4Address
from pathlib import Path
from struct import Struct
from typing import Final

from benchmarks.paths.rig import CannotRunError, Rig, within

from icshare.errors import HostError, NotSupportedError, PrivilegeError
from icshare.host.fastpath.libbpf import LIBRARY, Map, Object, possible_cpus

OBJECT: Final = Path(__file__).with_name("generator.bpf.o")
FRAME_BYTES: Final = 60
IP_BYTES: Final = 46

_LIVE_FRAMES: Final = 2  # BPF_F_TEST_XDP_LIVE_FRAMES
_BATCH: Final = 64
_ATTACH_XDP: Final = 37  # enum bpf_attach_type
_XDP_NATIVE: Final = 4  # XDP_FLAGS_DRV_MODE
_FIRST: Final = bytes(4)
_CONTEXT: Final = Struct("=IIIIII")  # struct xdp_md
_SOURCE: Final = Struct("=48sIIII")
_SEEN: Final = Struct("=Q4s4s")
_OUT: Final = Struct("=I")
_IP: Final = Struct("!BBHHHBBH8s")
_SIOCGIFHWADDR: Final = 0x8927
_IFREQ: Final = Struct("=16sH22s")


class _TestRunOptions(ctypes.Structure):
    _fields_ = (
        ("sz", ctypes.c_size_t),
        ("data_in", ctypes.c_void_p),
        ("data_out", ctypes.c_void_p),
        ("data_size_in", ctypes.c_uint32),
        ("data_size_out", ctypes.c_uint32),
        ("ctx_in", ctypes.c_void_p),
        ("ctx_out", ctypes.c_void_p),
        ("ctx_size_in", ctypes.c_uint32),
        ("ctx_size_out", ctypes.c_uint32),
        ("retval", ctypes.c_uint32),
        ("repeat", ctypes.c_int),
        ("duration", ctypes.c_uint32),
        ("flags", ctypes.c_uint32),
        ("cpu", ctypes.c_uint32),
        ("batch_size", ctypes.c_uint32),
    )


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

    def __init__(self, stack: ExitStack) -> None:
        """Load them.

        Raises:
            CannotRunError: The kernel does not take them, or libbpf is missing.
        """
        try:
            self._object = stack.enter_context(Object(OBJECT.read_bytes(), "generator"))
            self._object.load()
        except (NotSupportedError, PrivilegeError) as error:
            raise CannotRunError(f"the generator of packets cannot be loaded: {error}") from error
        self._source = stack.enter_context(self._object.map(".data.source"))
        self._seen: Map = stack.enter_context(self._object.map("seen"))
        self._library = _library()
        self._cpu = min(os.sched_getaffinity(0))
        self._softirq = _find_softirq(self._cpu)

    @contextmanager
    def counting(self, rig: Rig) -> Iterator[None]:
        """Have both far ends of a rig count packets and end them, for as long as this lasts."""
        with ExitStack() as stack:
            for node in (rig.client, rig.internet):
                attach(stack, self._object.program("count"), node, "eth0")
            yield

    def send(self, rig: Rig, way: Way, flows: int, packets: int, *, first: int = 0) -> Burst:
        """Send *packets*, one of each of *flows* flows in turn from the *first*, on one CPU; return what came of them.

        Raises:
            CannotRunError: The kernel does not send live frames.
        """
        sender = link_index(way.sender, "eth0")
        headers = _headers(way, hardware_address(rig.gateway, way.first_hop), hardware_address(way.sender, "eth0"))
        self._source.update(_FIRST, _SOURCE.pack(headers, flows, first, sender, way.answers))
        before = self._count()[0]
        seconds = within(way.sender, lambda: self._run(sender, packets), cpu=self._cpu)
        after, source, destination = self._count()
        return Burst(sent=packets, arrived=after - before, seconds=seconds, source=source, destination=destination)

    def _run(self, ifindex: int, packets: int) -> float:
        frame = ctypes.create_string_buffer(FRAME_BYTES)
        context = ctypes.create_string_buffer(_CONTEXT.pack(0, FRAME_BYTES, 0, ifindex, 0, 0), _CONTEXT.size)
        options = _TestRunOptions(
            sz=ctypes.sizeof(_TestRunOptions),
            data_in=ctypes.addressof(frame),
            data_size_in=FRAME_BYTES,
            ctx_in=ctypes.addressof(context),
            ctx_size_in=_CONTEXT.size,
            repeat=packets,
            flags=_LIVE_FRAMES,
            batch_size=_BATCH,
        )
        program = self._object.program("generate")
        began = self._processor_seconds()
        status = self._library.bpf_prog_test_run_opts(program, ctypes.byref(options))
        seconds = self._processor_seconds() - began
        if status < 0:
            raise CannotRunError(f"the kernel does not send live frames: {os.strerror(-status)}")
        return seconds

    def _processor_seconds(self) -> float:
        """Return how long the CPU has worked for this thread, and for packets that were left to its ksoftirqd."""
        found = time.clock_gettime(time.CLOCK_THREAD_CPUTIME_ID)
        if self._softirq is not None:
            found += int(self._softirq.read_text(encoding="ascii").split()[0]) / 1e9
        return found

    def _count(self) -> tuple[int, IPv4Address, IPv4Address]:
        """Return how many packets were counted, and the addresses of the last one on the CPU that sends."""
        values = self._seen.lookup(_FIRST) or b""
        found = list(_SEEN.iter_unpack(values))
        assert len(found) == possible_cpus()
        _, source, destination = found[self._cpu]
        return sum(one[0] for one in found), IPv4Address(source), IPv4Address(destination)


def _find_softirq(cpu: int) -> Path | None:
    """Return the file that tells how long ksoftirqd has run on a CPU; None where it is not seen."""
    for one in Path("/proc").glob("[0-9]*/comm"):
        with contextlib.suppress(OSError):  # gone since
            if one.read_text(encoding="utf-8", errors="replace") == f"ksoftirqd/{cpu}\n":
                return one.with_name("schedstat")
    return None


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
    library.bpf_prog_test_run_opts.argtypes = [ctypes.c_int, ctypes.c_void_p]
    library.bpf_link_create.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_void_p]
    return library
