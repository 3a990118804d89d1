"""Numbers and words of COM itself: what goes wrong in a call before the object that is called hears of it.

Source:
    ``winerror.h`` of the Windows SDK.
"""

import errno
from collections.abc import Mapping
from types import MappingProxyType

S_OK = 0
S_FALSE = 1
E_NOINTERFACE = -2147467262
DISP_E_MEMBERNOTFOUND = -2147352573
DISP_E_TYPEMISMATCH = -2147352571
DISP_E_UNKNOWNNAME = -2147352570
DISP_E_BADPARAMCOUNT = -2147352562
DISP_E_PARAMNOTOPTIONAL = -2147352561
DISP_E_EXCEPTION = -2147352567
CO_E_NOTINITIALIZED = -2147221008
CO_E_CLASSSTRING = -2147221005
REGDB_E_CLASSNOTREG = -2147221164

TEXTS: Mapping[int, str] = MappingProxyType(
    {
        E_NOINTERFACE: "No such interface supported",
        DISP_E_MEMBERNOTFOUND: "Member not found.",
        DISP_E_TYPEMISMATCH: "Type mismatch.",
        DISP_E_UNKNOWNNAME: "Unknown name.",
        DISP_E_BADPARAMCOUNT: "Invalid number of parameters.",
        DISP_E_PARAMNOTOPTIONAL: "Parameter not optional.",
        DISP_E_EXCEPTION: "Exception occurred.",
        CO_E_NOTINITIALIZED: "CoInitialize has not been called.",
        CO_E_CLASSSTRING: "Invalid class string",
        REGDB_E_CLASSNOTREG: "Class not registered",
    }
)
"""What Windows says to these codes."""

WINERROR: Mapping[str, int] = MappingProxyType(
    {
        "S_OK": S_OK,
        "S_FALSE": S_FALSE,
        "E_NOTIMPL": -2147467263,
        "E_NOINTERFACE": E_NOINTERFACE,
        "E_POINTER": -2147467261,
        "E_ABORT": -2147467260,
        "E_FAIL": -2147467259,
        "E_UNEXPECTED": -2147418113,
        "E_ACCESSDENIED": -2147024891,
        "E_OUTOFMEMORY": -2147024882,
        "E_INVALIDARG": -2147024809,
        "DISP_E_MEMBERNOTFOUND": DISP_E_MEMBERNOTFOUND,
        "DISP_E_TYPEMISMATCH": DISP_E_TYPEMISMATCH,
        "DISP_E_PARAMNOTOPTIONAL": DISP_E_PARAMNOTOPTIONAL,
        "DISP_E_EXCEPTION": DISP_E_EXCEPTION,
        "CO_E_NOTINITIALIZED": CO_E_NOTINITIALIZED,
        "CO_E_CLASSSTRING": CO_E_CLASSSTRING,
        "REGDB_E_CLASSNOTREG": REGDB_E_CLASSNOTREG,
        "ERROR_SUCCESS": 0,
        "ERROR_FILE_NOT_FOUND": 2,
        "ERROR_ACCESS_DENIED": 5,
        "ERROR_NOT_SUPPORTED": 50,
        "ERROR_ALREADY_EXISTS": 183,
    }
)
"""The constants of the module ``winerror``, those that programs of this kind use."""


_ERRNO: Mapping[int, int] = MappingProxyType(
    {2: errno.ENOENT, 5: errno.EACCES, 6: errno.EBADF, 53: errno.ENOENT, 126: errno.ENOENT}
)


def windows_error(code: int, text: str) -> OSError:
    """Return the error that Python raises on Windows for a code of Windows, with the code as ``winerror``."""
    error = OSError(_ERRNO.get(code, errno.EINVAL), text)
    error.winerror = code  # type: ignore[attr-defined]  # it is there on Windows only
    return error


class CallError(Exception):
    """A call failed on its way, in COM itself and not in the object.

    Attributes:
        code: The HRESULT, signed.
    """

    def __init__(self, code: int) -> None:
        super().__init__(TEXTS[code])
        self.code = code
