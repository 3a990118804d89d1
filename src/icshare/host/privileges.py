"""Give every privilege up for good.

A process that reads what strangers send keeps nothing that would be worth taking it over for: no account but one that
owns nothing, no group, no capability, and no program that could give one back.

Source:
    capabilities(7), credentials(7), prctl(2), capset(2).
"""

import ctypes
import os
import pwd
from pathlib import Path
from typing import Final

from icshare.errors import HostError

_ACCOUNT: Final = "nobody"
_PR_SET_DUMPABLE: Final = 4
_PR_SET_NO_NEW_PRIVS: Final = 38
_CAPABILITY_VERSION: Final = 0x20080522


def unprivileged() -> tuple[int, int]:
    """Return the user and group id of the account to become: nobody, or our own where there is no other.

    In a user namespace that maps one account only there is no other to become.
    """
    try:
        entry = pwd.getpwnam(_ACCOUNT)
    except KeyError:
        return os.geteuid(), os.getegid()
    if _is_mapped("uid_map", entry.pw_uid) and _is_mapped("gid_map", entry.pw_gid):
        return entry.pw_uid, entry.pw_gid
    return os.geteuid(), os.getegid()


def drop(user: int, group: int) -> None:
    """Become *user* and *group* without any other group and without capabilities, for good.

    Raises:
        HostError: The kernel refused.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        if Path("/proc/self/setgroups").read_text(encoding="ascii").strip() == "allow":
            os.setgroups([])
        os.setresgid(group, group, group)
        os.setresuid(user, user, user)
    except OSError as error:
        raise HostError(f"cannot become user {user} and group {group}: {error.strerror}") from error
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0)
    none = (ctypes.c_uint32 * 6)()
    refused = (
        libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        or libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
        or libc.capset(header, none)
    )
    if refused:
        raise HostError(f"cannot give up capabilities: {os.strerror(ctypes.get_errno())}")


def _is_mapped(name: str, number: int) -> bool:
    lines = Path("/proc/self", name).read_text(encoding="ascii").splitlines()
    return any(first <= number < first + count for first, _, count in (map(int, line.split()) for line in lines))
