"""Live frames: the kernel's test runner of BPF programs makes packets, as fast as nothing else does (Linux 5.18).

Time is the processor's: what it worked for the thread that sends, in whose course the kernel forwards the packets as
well, and for ksoftirqd, to which it leaves them when there are too many at a time. On a machine that does nothing else
that is the time on the wall; on one that does, the others' share is not counted.

Source:
    ``Documentation/bpf/bpf_prog_run.rst`` of Linux; struct bpf_test_run_opts in ``bpf/bpf.h`` of libbpf 1.1.
"""

import contextlib
import ctypes
import os
import time
from functools import cache
from pathlib import Path
from struct import Struct
from typing import Final

from benchmarks.paths.rig import CannotRunError, within

from icshare.host.fastpath.libbpf import LIBRARY

FRAME_BYTES: Final = 60
"""The least that a frame of Ethernet has, without its checksum."""

_LIVE_FRAMES: Final = 2  # BPF_F_TEST_XDP_LIVE_FRAMES
# Frames are handed on in batches, as a driver does; 64 is the budget of NAPI, and fits into the ring of a veth.
_BATCH: Final = 64
_CONTEXT: Final = Struct("=IIIIII")  # struct xdp_md


class _Options(ctypes.Structure):
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


def send(program: int, node: str, ifindex: int, packets: int, *, cpu: int) -> float:
    """Have an XDP program make and send packets; return how many seconds of the processor that took.

    All that follows from a packet, until it ends somewhere, happens on the same CPU, and within that time.

    Args:
        program: File descriptor of the program, run once for each packet.
        node: Network namespace of the link that sends.
        ifindex: That link.
        packets: How many.
        cpu: The CPU.

    Raises:
        CannotRunError: The kernel does not send live frames.
    """

    def run() -> tuple[int, float]:
        frame = ctypes.create_string_buffer(FRAME_BYTES)
        context = ctypes.create_string_buffer(_CONTEXT.pack(0, FRAME_BYTES, 0, ifindex, 0, 0), _CONTEXT.size)
        options = _Options(
            sz=ctypes.sizeof(_Options),
            data_in=ctypes.addressof(frame),
            data_size_in=FRAME_BYTES,
            ctx_in=ctypes.addressof(context),
            ctx_size_in=_CONTEXT.size,
            repeat=packets,
            flags=_LIVE_FRAMES,
            batch_size=_BATCH,
        )
        began = _processor_seconds(cpu)
        status = int(_library().bpf_prog_test_run_opts(program, ctypes.byref(options)))
        return status, _processor_seconds(cpu) - began

    status, seconds = within(node, run, cpu=cpu)
    if status < 0:
        raise CannotRunError(f"the kernel does not send live frames: {os.strerror(-status)}")
    return seconds


def _processor_seconds(cpu: int) -> float:
    """Return how long the CPU has worked for this thread, and for packets that were left to its ksoftirqd."""
    found = time.clock_gettime(time.CLOCK_THREAD_CPUTIME_ID)
    softirq = _softirq_statistics(cpu)
    if softirq is not None:
        found += int(softirq.read_text(encoding="ascii").split()[0]) / 1e9
    return found


@cache
def _softirq_statistics(cpu: int) -> Path | None:
    """Return the file that tells how long ksoftirqd has run on a CPU; None where it is not seen."""
    for one in Path("/proc").glob("[0-9]*/comm"):
        with contextlib.suppress(OSError):  # gone since
            if one.read_text(encoding="utf-8", errors="replace") == f"ksoftirqd/{cpu}\n":
                return one.with_name("schedstat")
    return None


@cache
def _library() -> ctypes.CDLL:
    library = ctypes.CDLL(LIBRARY)
    library.bpf_prog_test_run_opts.argtypes = [ctypes.c_int, ctypes.c_void_p]
    return library
