"""Why a kernel does not take the program, in words."""

import errno

import pytest

from icshare.host.fastpath import refusal
from icshare.model.fastpath import Ability, KernelAbility

NO_KFUNC = "libbpf: extern (func ksym) 'bpf_xdp_ct_lookup': not found in kernel or module BTFs\n"
TOO_LARGE = (
    "libbpf: prog 'icshare_xdp': BPF program load failed: Argument list too long\n"
    "BPF program is too large. Processed 1000001 insn\n"
    "libbpf: failed to load object 'fastpath'\n"
)


@pytest.fixture
def privileged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have this process look as if it held the capability."""
    monkeypatch.setattr(refusal, "may_load", lambda: True)


def test_a_missing_capability_is_named_before_what_follows_from_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refusal, "may_load", lambda: False)
    assert str(refusal.refused(errno.EPERM, [NO_KFUNC])).endswith("CAP_BPF is missing")


@pytest.mark.usefixtures("privileged")
def test_a_missing_function_is_named() -> None:
    assert "it has no bpf_xdp_ct_lookup" in str(refusal.refused(errno.EINVAL, [NO_KFUNC]))


@pytest.mark.usefixtures("privileged")
def test_what_the_verifier_said_is_kept() -> None:
    error = refusal.refused(errno.E2BIG, [TOO_LARGE])
    assert "E2BIG" in str(error)
    assert "Processed 1000001 insn" in error.__notes__[0]


@pytest.mark.usefixtures("privileged")
def test_without_words_the_number_is_explained() -> None:
    assert "(ENOMEM)" in str(refusal.refused(errno.ENOMEM, []))


def test_what_the_kernel_can_do_is_a_value() -> None:
    assert Ability(kernel=KernelAbility(bpf=True, flowtable=False)).links == ()
