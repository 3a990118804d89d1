"""Give privileges up for good.

A process that reads what strangers send keeps nothing that would be worth taking it over for: no account but one that
owns nothing, no group, no capability beyond those it needs, and no program that could give one back.

Source:
    capabilities(7), credentials(7), prctl(2), capset(2).
"""

import ctypes
import os
import pwd
from collections.abc import Collection
from pathlib import Path
from typing import Final

from icshare.errors import HostError
from icshare.host.processes import own_capabilities

_ACCOUNT: Final = "nobody"
_CAP_SETPCAP: Final = 8
_LAST: Final = 63
_PR_SET_DUMPABLE: Final = 4
_PR_CAPBSET_READ: Final = 23
_PR_CAPBSET_DROP: Final = 24
_PR_SET_NO_NEW_PRIVS: Final = 38
_PR_CAP_AMBIENT: Final = 47
_PR_CAP_AMBIENT_CLEAR_ALL: Final = 4
_VERSION: Final = 0x20080522


def unprivileged() -> tuple[int, int]:
    """Return the user and group id of the account to become: nobody, or our own where there is no other.

    In a user namespace that maps one account only there is no other to become.
    """
    try:
        entry = pwd.getpwnam(_ACCOUNT)
    except KeyError:
        return os.geteuid(), os.getegid()
    if is_mapped("uid_map", entry.pw_uid) and is_mapped("gid_map", entry.pw_gid):
        return entry.pw_uid, entry.pw_gid
    return os.geteuid(), os.getegid()


def become(user: int, group: int) -> None:
    """Become *user* and *group*, without any other group, for good; nobody else may look into us or trace us.

    Whoever becomes another user than root has no capability any more, but those that others could still give back:
    `keep_only` takes them.

    Raises:
        HostError: The kernel refused.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    _drop_bounding(libc, ())
    try:
        if Path("/proc/self/setgroups").read_text(encoding="ascii").strip() == "allow":
            os.setgroups([])
        os.setresgid(group, group, group)
        os.setresuid(user, user, user)
    except OSError as error:
        raise HostError(f"cannot become user {user} and group {group}: {error.strerror}") from error
    _check(libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0))


def keep_only(capabilities: Collection[int]) -> None:
    """Keep *capabilities* (of those we have) and no other; no program we start can get one back.

    Raises:
        HostError: The kernel refused.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    _check(libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    _check(libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0))
    _drop_bounding(libc, capabilities)
    kept = sum(1 << number for number in capabilities) & own_capabilities("Prm")
    low, high = kept & 0xFFFFFFFF, kept >> 32
    header = (ctypes.c_uint32 * 2)(_VERSION, 0)
    _check(libc.capset(header, (ctypes.c_uint32 * 6)(low, low, 0, high, high, 0)))


def _drop_bounding(libc: ctypes.CDLL, kept: Collection[int]) -> None:
    if not own_capabilities() >> _CAP_SETPCAP & 1:
        return  # without it the bounding set stays; NO_NEW_PRIVS makes it worth nothing
    for number in range(_LAST + 1):
        if number not in kept and libc.prctl(_PR_CAPBSET_READ, number, 0, 0, 0) == 1:
            _check(libc.prctl(_PR_CAPBSET_DROP, number, 0, 0, 0))


def _check(result: int) -> None:
    if result:
        raise HostError(f"cannot give up capabilities: {os.strerror(ctypes.get_errno())}")


def is_mapped(name: str, number: int) -> bool:
    """Tell whether our user namespace has *number*; *name* is ``uid_map`` or ``gid_map``."""
    lines = Path("/proc/self", name).read_text(encoding="ascii").splitlines()
    return any(first <= number < first + count for first, _, count in (map(int, line.split()) for line in lines))
