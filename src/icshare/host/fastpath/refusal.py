"""Why a kernel does not take the fast path's program, in words for the user.

libbpf's own words name the first thing that failed. What stands behind it (a capability, lockdown, a kernel built
without type information) is looked up here, so that the message says what would have to change.
"""

import errno
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from icshare.errors import NotSupportedError

_CAP_SYS_ADMIN: Final = 21
_CAP_BPF: Final = 39
_BTF: Final = Path("/sys/kernel/btf/vmlinux")
_LOCKDOWN: Final = Path("/sys/kernel/security/lockdown")
_NO_KFUNC: Final = re.compile(r"extern \(func ksym\) '(?P<name>\w+)'.*: (?:not found|is not found)")


def may_load() -> bool:
    """Tell whether this process has a capability that lets it load programs (in the first user namespace)."""
    for line in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
        if line.startswith("CapEff:"):
            held = int(line.split()[1], 16)
            return bool(held >> _CAP_SYS_ADMIN & 1 or held >> _CAP_BPF & 1)
    return False


def refused(number: int, said: Sequence[str]) -> NotSupportedError:
    """Return the error for an object that could not be loaded.

    Args:
        number: errno of libbpf.
        said: All that libbpf said.
    """
    words = "".join(said)
    error = NotSupportedError(f"the kernel does not take the fast path's program: {_reason(number, words)}")
    if words:
        error.add_note(words)
    return error


def _reason(number: int, words: str) -> str:
    if not may_load():
        return "CAP_BPF is missing"
    if number == errno.ENOSYS:
        return "it was built without CONFIG_BPF_SYSCALL"
    if not _BTF.exists():
        return f"it has no type information (CONFIG_DEBUG_INFO_BTF): there is no {_BTF}"
    if missing := _NO_KFUNC.search(words):
        return f"it has no {missing['name']}, which Linux has from 6.1 on where CONFIG_NF_CONNTRACK and BTF are set"
    lockdown = _lockdown()
    if number in {errno.EPERM, errno.EACCES} and lockdown != "none":
        return f"lockdown ({lockdown}) forbids it"
    if number == errno.EPERM:
        return "a user namespace or a policy forbids it (EPERM)"
    lines = [line.removeprefix("libbpf: ") for line in words.strip().splitlines()]
    last = next((line for line in reversed(lines) if "failed" in line or "error" in line.lower()), "")
    return f"{last or os.strerror(number)} ({errno.errorcode.get(number, number)})"


def _lockdown() -> str:
    try:
        text = _LOCKDOWN.read_text(encoding="ascii")
    except OSError:
        return "none"
    return text.partition("[")[2].partition("]")[0] or "none"
