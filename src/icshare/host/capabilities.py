"""Keep a few capabilities and give all others up for good.

Source:
    capabilities(7), prctl(2), capset(2).
"""

import ctypes
import os
from collections.abc import Collection
from pathlib import Path
from typing import Final

from icshare.errors import HostError

CAP_NET_ADMIN: Final = 12

_PR_CAPBSET_READ: Final = 23
_PR_CAPBSET_DROP: Final = 24
_PR_SET_NO_NEW_PRIVS: Final = 38
_PR_CAP_AMBIENT: Final = 47
_PR_CAP_AMBIENT_CLEAR_ALL: Final = 4
_CAP_SETPCAP: Final = 8
_VERSION: Final = 0x20080522
_LAST: Final = 63


def keep_only(capabilities: Collection[int]) -> None:
    """Keep *capabilities* (of those we have) and no other; no program we start can get one back.

    Raises:
        HostError: The kernel refused.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    permitted = _permitted()
    refused = libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    refused = refused or libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    if permitted >> _CAP_SETPCAP & 1:  # without it the bounding set stays; NO_NEW_PRIVS makes it worth nothing
        for number in range(_LAST + 1):
            if number not in capabilities and libc.prctl(_PR_CAPBSET_READ, number, 0, 0, 0) == 1:
                refused = refused or libc.prctl(_PR_CAPBSET_DROP, number, 0, 0, 0)
    kept = sum(1 << number for number in capabilities) & permitted
    low, high = kept & 0xFFFFFFFF, kept >> 32
    header = (ctypes.c_uint32 * 2)(_VERSION, 0)
    refused = refused or libc.capset(header, (ctypes.c_uint32 * 6)(low, low, 0, high, high, 0))
    if refused:
        raise HostError(f"cannot give up capabilities: {os.strerror(ctypes.get_errno())}")


def _permitted() -> int:
    status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    return next(int(line.split()[1], 16) for line in status.splitlines() if line.startswith("CapPrm:"))
