"""Why a kernel does not take the fast path's program, in words for the user.

libbpf's own words name the first thing that failed. What stands behind it (a capability, lockdown, a kernel built
without type information) is looked up here, so that the message says what would have to change.
"""

import errno
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from icshare.errors import NotSupportedError
from icshare.host.processes import own_capabilities

_CAP_SYS_ADMIN: Final = 21
_BTF: Final = Path("/sys/kernel/btf/vmlinux")
_NEWER_KERNEL = "boot a kernel from 6.1 on with BPF and its type information (CONFIG_DEBUG_INFO_BTF), as Debian's"
_LOCKDOWN: Final = Path("/sys/kernel/security/lockdown")
_NO_KFUNC: Final = re.compile(r"extern \(func ksym\) '(?P<name>\w+)'.*: (?:not found|is not found)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """What a refusal may be due to.

    Attributes:
        may_load: This process has CAP_SYS_ADMIN. CAP_BPF would do to load programs, but not to find them again.
        types: The kernel has type information (BTF).
        lockdown: In force: "none", "integrity" or "confidentiality".
    """

    may_load: bool = True
    types: bool = True
    lockdown: str = "none"


def look() -> Circumstances:
    """Return the circumstances of this process."""
    return Circumstances(
        may_load=bool(own_capabilities() >> _CAP_SYS_ADMIN & 1), types=_BTF.exists(), lockdown=_lockdown()
    )


def require_privilege() -> None:
    """Refuse early what would be refused later, or could not be found again.

    Raises:
        NotSupportedError: CAP_SYS_ADMIN is missing.
    """
    circumstances = look()
    if not circumstances.may_load:
        raise refused(errno.EPERM, (), circumstances)


def refused(number: int, said: Sequence[str], circumstances: Circumstances) -> NotSupportedError:
    """Return the error for an object that could not be loaded.

    Args:
        number: errno of libbpf.
        said: All that libbpf said.
        circumstances: What may be behind it.
    """
    words = "".join(said)
    reason, hint = _reason(number, words, circumstances)
    error = NotSupportedError(f"the kernel does not take the fast path's program: {reason}", hint=hint)
    if words:
        error.add_note(words)
    return error


def _reason(number: int, words: str, circumstances: Circumstances) -> tuple[str, str | None]:
    """Return the reason, and what mends it, None when that is not known."""
    if not circumstances.may_load:
        return "CAP_SYS_ADMIN is missing", "run it with CAP_SYS_ADMIN, which root has outside of containers"
    if number == errno.ENOSYS:
        return "it was built without CONFIG_BPF_SYSCALL", _NEWER_KERNEL
    if not circumstances.types:
        return f"it has no type information (CONFIG_DEBUG_INFO_BTF): there is no {_BTF}", _NEWER_KERNEL
    if missing := _NO_KFUNC.search(words):
        since = "which Linux has from 6.1 on where CONFIG_NF_CONNTRACK and BTF are set"
        return f"it has no {missing['name']}, {since}", _NEWER_KERNEL
    if number in {errno.EPERM, errno.EACCES} and circumstances.lockdown != "none":
        return f"lockdown ({circumstances.lockdown}) forbids it", None
    if number == errno.EPERM:
        return "a user namespace or a policy forbids it (EPERM)", None
    lines = [line.removeprefix("libbpf: ") for line in words.strip().splitlines()]
    last = next((line for line in reversed(lines) if "failed" in line or "error" in line.lower()), "")
    return f"{last or os.strerror(number)} ({errno.errorcode.get(number, number)})", None


def _lockdown() -> str:
    try:
        text = _LOCKDOWN.read_text(encoding="ascii")
    except OSError:
        return "none"
    return text.partition("[")[2].partition("]")[0] or "none"
