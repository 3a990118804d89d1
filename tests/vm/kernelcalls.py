"""System calls about namespaces and mounts, which Python has from 3.12 on, or not at all.

Sources: setns(2), unshare(2), mount(2), umount(2).
"""

import ctypes
import os
from pathlib import Path

CLONE_NEWNS = 0x00020000
CLONE_NEWNET = 0x40000000

MS_NOSUID, MS_NODEV, MS_NOEXEC = 0x2, 0x4, 0x8
MS_BIND = 0x1000
MS_REC = 0x4000
MS_SLAVE = 0x80000
MNT_DETACH = 0x2

_libc = ctypes.CDLL(None, use_errno=True)


def enter(namespace: int, kind: int) -> None:
    """Enter the namespace that the descriptor *namespace* stands for; *kind* is its ``CLONE_NEW`` constant."""
    _check(_libc.setns(namespace, kind), "enter a namespace")


def unshare(kinds: int) -> None:
    """Leave the namespaces of *kinds* for new ones."""
    _check(_libc.unshare(kinds), "make a namespace")


def mount(source: str | Path, target: str | Path, kind: str = "", *, flags: int = 0, data: str = "") -> None:
    """Mount; without *kind*, *source* itself is what appears at *target*."""
    status = _libc.mount(
        os.fsencode(source),
        os.fsencode(target),
        kind.encode(),
        ctypes.c_ulong(flags if kind else flags or MS_BIND),
        os.fsencode(data),
    )
    _check(status, f"mount {source} on {target}")


def unmount(target: str | Path) -> None:
    """Unmount, now for everybody who comes, and for those who use it when they have done."""
    _check(_libc.umount2(os.fsencode(target), MNT_DETACH), f"unmount {target}")


def _check(status: int, what: str) -> None:
    if status != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"cannot {what}: {os.strerror(number)}")
