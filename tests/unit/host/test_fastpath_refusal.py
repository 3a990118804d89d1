"""Why a kernel does not take the program, in words."""

import errno
from typing import Any

import pytest

from icshare.errors import NotSupportedError
from icshare.host.fastpath import refusal
from icshare.host.fastpath.refusal import Circumstances
from icshare.model.fastpath import KernelAbility

NO_KFUNC = "libbpf: extern (func ksym) 'bpf_xdp_ct_lookup': not found in kernel or module BTFs\n"
TOO_LARGE = (
    "libbpf: prog 'icshare_xdp': BPF program load failed: Argument list too long\n"
    "BPF program is too large. Processed 1000001 insn\n"
    "libbpf: failed to load object 'fastpath'\n"
)


def refused(number: int, said: str = "", **circumstances: Any) -> NotSupportedError:
    return refusal.refused(number, [said], Circumstances(**circumstances))


def test_a_missing_capability_is_named_before_what_follows_from_it() -> None:
    error = refused(errno.EPERM, NO_KFUNC, may_load=False)
    assert error.message.endswith("CAP_SYS_ADMIN is missing")
    assert "CAP_SYS_ADMIN" in str(error.hint)


def test_a_kernel_without_type_information_is_told_by_it() -> None:
    error = refused(errno.ESRCH, types=False)
    assert "CONFIG_DEBUG_INFO_BTF" in error.message
    assert "a kernel from 6.1 on" in str(error.hint)


def test_a_missing_function_is_named() -> None:
    assert "it has no bpf_xdp_ct_lookup" in str(refused(errno.EINVAL, NO_KFUNC))


def test_lockdown_is_named() -> None:
    assert "lockdown (confidentiality) forbids it" in str(refused(errno.EPERM, lockdown="confidentiality"))


def test_what_the_verifier_said_is_kept() -> None:
    error = refused(errno.E2BIG, TOO_LARGE)
    assert "E2BIG" in str(error)
    assert "Processed 1000001 insn" in error.__notes__[0]


@pytest.mark.parametrize(
    ("number", "words"), [(errno.ENOMEM, "(ENOMEM)"), (errno.ENOSYS, "CONFIG_BPF_SYSCALL"), (errno.EPERM, "(EPERM)")]
)
def test_without_words_the_number_is_explained(number: int, words: str) -> None:
    assert words in str(refused(number))


def test_the_circumstances_of_this_process_can_be_read() -> None:
    assert refusal.look().lockdown in {"none", "integrity", "confidentiality"}


def test_what_the_kernel_can_do_is_a_value() -> None:
    assert KernelAbility(bpf=True, flowtable=False).why_not_bpf == ""
