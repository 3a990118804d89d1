import pytest

from icshare import errors
from icshare.netcon import HRESULTS, ComError, com_error, hresults
from icshare.netcon.hresults import translated


@pytest.mark.parametrize(
    ("name", "hresult"),
    [
        ("E_NOTIMPL", 0x80004001),
        ("E_NOINTERFACE", 0x80004002),
        ("E_POINTER", 0x80004003),
        ("E_ABORT", 0x80004004),
        ("E_FAIL", 0x80004005),
        ("E_UNEXPECTED", 0x8000FFFF),
        ("E_OUTOFMEMORY", 0x8007000E),
        ("E_INVALIDARG", 0x80070057),
        ("E_ACCESSDENIED", 0x80070005),
        ("EVENT_E_ALL_SUBSCRIBERS_FAILED", 0x80040201),
        ("ERROR_NOT_SUPPORTED", 0x80070032),
        ("ERROR_ALREADY_EXISTS", 0x800700B7),
        ("ERROR_CONNECTION_ALREADY_SHARED", 0x800702F6),
        ("ERROR_SHARING_CHANGE_FAILED", 0x800702F7),
        ("ERROR_SHARING_ROUTER_INSTALL", 0x800702F8),
        ("ERROR_SHARE_CONNECTION_FAILED", 0x800702F9),
        ("ERROR_SHARING_PRIVATE_INSTALL", 0x800702FA),
        ("ERROR_CANNOT_SHARE_CONNECTION", 0x800702FB),
        ("ERROR_SHARING_ADDRESS_EXISTS", 0x800702FD),
        ("ERROR_SHARING_MULTIPLE_ADDRESSES", 0x800702FF),
        ("ERROR_SHARING_RRAS_CONFLICT", 0x8007030E),
        ("ERROR_SHARING_NO_PRIVATE_LAN", 0x8007030F),
        ("ERROR_SHARING_HOST_ADDRESS_CONFLICT", 0x8007031F),
    ],
)
def test_codes(name: str, hresult: int) -> None:
    code = HRESULTS[hresult]
    assert code is getattr(hresults, name)
    error = code()
    assert (error.name, error.hresult, error.signed) == (name, hresult, hresult - (1 << 32))
    assert str(error) == f"{code.meaning} ({name}, {hresult:#010x})"


def test_all_codes_are_listed() -> None:
    assert len(HRESULTS) == 23


@pytest.mark.parametrize(
    ("error", "name"),
    [
        (errors.InvalidRequestError("x"), "E_INVALIDARG"),
        (errors.RefusedError([("media-type", "x")]), "E_INVALIDARG"),
        (errors.RefusedError([("unknown-connection", "x"), ("media-type", "y")]), "E_INVALIDARG"),
        (errors.RefusedError([("unknown-connection", "x")]), "E_UNEXPECTED"),
        (errors.RefusedError([("foreign-nat", "x")]), "ERROR_SHARING_RRAS_CONFLICT"),
        (errors.RefusedError([("private-absent", "x")]), "ERROR_SHARING_NO_PRIVATE_LAN"),
        (errors.RefusedError([("private-addresses", "x")]), "ERROR_SHARING_MULTIPLE_ADDRESSES"),
        (errors.RefusedError([("address-exists", "x")]), "ERROR_SHARING_ADDRESS_EXISTS"),
        (errors.RefusedError([("address-conflict", "x")]), "ERROR_SHARING_HOST_ADDRESS_CONFLICT"),
        (errors.PrivilegeError("x"), "E_ACCESSDENIED"),
        (errors.PolicyError("x"), "E_ACCESSDENIED"),
        (errors.AlreadyExistsError("x"), "ERROR_ALREADY_EXISTS"),
        (errors.GoneError("x"), "E_UNEXPECTED"),
        (errors.ConflictError("x"), "E_FAIL"),
        (errors.NotSupportedError("x"), "E_NOTIMPL"),
        (errors.HostError("x"), "E_FAIL"),
        (errors.VerificationError("x"), "E_FAIL"),
        (errors.IcshareError("x"), "E_FAIL"),
    ],
)
def test_our_errors_have_their_codes(error: errors.IcshareError, name: str) -> None:
    error.hint = "do this"
    found = com_error(error)
    assert (found.name, found.text, found.hint) == (name, error.message, "do this")


def test_reasons_are_kept_once_and_in_order() -> None:
    refused = errors.RefusedError([("media-type", "x"), ("bridge-member", "y"), ("media-type", "z")])
    assert com_error(refused).reasons == ("media-type", "bridge-member")
    assert com_error(errors.PolicyError("x")).reasons == ("policy",)


def test_the_error_is_the_cause() -> None:
    ours = errors.HostError("no")
    with pytest.raises(ComError) as raised, translated():
        raise ours
    assert raised.value.__cause__ is ours


def test_errors_of_ours_together() -> None:
    group = ExceptionGroup("two", [errors.HostError("one"), errors.HostError("two")])
    with pytest.raises(hresults.E_FAIL, match="one; two") as raised, translated():
        raise group
    assert raised.value.__cause__ is group


def test_a_broken_invariant_stays_what_it_is() -> None:
    with pytest.raises(AssertionError), translated():
        raise AssertionError
    with pytest.raises(ExceptionGroup), translated():
        raise ExceptionGroup("mixed", [errors.HostError("one"), AssertionError()])
