"""The ruleset of the kernel, through nft's own engine: text in, JSON out.

libnftables is used by its shared library: one call is one transaction, a hundred times cheaper than a started
``nft``. Its JSON *input* has gaps (maps of concatenations become sets, and crash the process), so rules are
always written as text; its JSON *output* is complete enough to be read.

The library has three habits that shape this module:

* Text handed over as a string loses its line numbers in errors. Text read from a file keeps them, so every text
  travels in a memory file.
* The netlink socket is opened, and the process ended if that fails, inside ``nft_ctx_new()``. The same socket is
  therefore opened by us first, where failing is an ordinary error.
* A refused privilege is also written to standard error by the library itself. Where the effective capabilities
  say so beforehand, it is not even asked.
"""

import ctypes
import json
import os
import re
import socket
import threading
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from icshare.errors import HostError, NotSupportedError, PrivilegeError

LIBRARY: Final = "libnftables.so.1"

_NETLINK_NETFILTER: Final = 12
_CAP_NET_ADMIN: Final = 12
# Bits of enum nft_ctx_output flags in nftables/libnftables.h.
_OUTPUT_HANDLE: Final = 1 << 3
_OUTPUT_JSON: Final = 1 << 4
_OUTPUT_TERSE: Final = 1 << 11
# What a list command may ask for: words and unquoted names only, so that no second command fits in.
_LIST_TARGET: Final = re.compile(r"[A-Za-z0-9_./-]+( [A-Za-z0-9_./-]+){0,3}")
# The words of an error start after "PATH:LINE:FIRST-LAST: Error: "; the offending line and a row of carets follow.
_REFUSAL: Final = re.compile(
    r"^[^\n]*?:(?P<line>\d+):(?P<first>\d+)-(?P<last>\d+): Error: (?P<words>[^\n]*)(?:\n(?P<source>[^\n]*))?",
    re.MULTILINE,
)
_PRIVILEGE_REFUSED: Final = "cache initialization failed: Operation not permitted"
_TOO_LONG_HINT: Final = (
    "too large for the kernel to take from a user namespace: raise net.core.wmem_default, or use the machine's root"
)
# The parser and evaluator of libnftables share a few globals between contexts.
_LIBRARY_LOCK: Final = threading.Lock()


@cache
def _load_library(name: str) -> ctypes.CDLL:
    """Load libnftables once, with the signatures of the functions used here.

    Raises:
        NotSupportedError: The library is not installed.
    """
    try:
        library = ctypes.CDLL(name)
    except OSError as error:
        raise NotSupportedError(f"the nftables library {name} is missing", hint="apt install libnftables1") from error
    context = ctypes.c_void_p
    signatures: dict[str, tuple[list[Any], Any]] = {
        "nft_ctx_new": ([ctypes.c_uint32], context),
        "nft_ctx_free": ([context], None),
        "nft_ctx_set_dry_run": ([context, ctypes.c_bool], None),
        "nft_ctx_output_set_flags": ([context, ctypes.c_uint], None),
        "nft_ctx_buffer_output": ([context], ctypes.c_int),
        "nft_ctx_buffer_error": ([context], ctypes.c_int),
        "nft_ctx_get_output_buffer": ([context], ctypes.c_char_p),
        "nft_ctx_get_error_buffer": ([context], ctypes.c_char_p),
        "nft_run_cmd_from_filename": ([context, ctypes.c_char_p], ctypes.c_int),
    }
    for symbol, (arguments, result) in signatures.items():
        function = getattr(library, symbol)
        function.argtypes, function.restype = arguments, result
    return library


def probe(library: str = LIBRARY) -> None:
    """Check that the library and the kernel's part are there; needs no privilege.

    Raises:
        NotSupportedError: One of them is missing.
    """
    _load_library(library)
    try:
        socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_NETFILTER).close()
    except OSError as error:
        raise NotSupportedError(
            f"this kernel has no nftables: {error.strerror}",
            hint="modprobe nf_tables, or boot a kernel built with CONFIG_NF_TABLES",
        ) from error


class Nftables:
    """One nft context: transactions in, listings out.

    The context stays in the network namespace in which the calling thread stood when the object was entered;
    afterwards any thread may use it, one at a time. To work in another namespace, enter the namespace first,
    then the object.
    """

    def __init__(self, *, library: str = LIBRARY) -> None:
        """Take the shared library's name; it is loaded when the object is entered."""
        self._name = library
        self._context: int | None = None

    def __enter__(self) -> Self:
        """Open the context.

        Raises:
            NotSupportedError: The library is missing, or the kernel has no netfilter netlink.
            PrivilegeError: This process has no CAP_NET_ADMIN.
        """
        library = _load_library(self._name)
        _require_net_admin()
        probe(self._name)
        context = library.nft_ctx_new(0)
        if not context:
            raise HostError("nft could not make a context: out of memory")
        self._context = context
        if library.nft_ctx_buffer_output(context) or library.nft_ctx_buffer_error(context):
            self.close()
            raise HostError("nft could not make its output buffers: out of memory")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Free the context. May be called twice."""
        if self._context is not None:
            _load_library(self._name).nft_ctx_free(self._context)
            self._context = None

    def load(self, text: str) -> None:
        """Apply *text*, in nft's own syntax, as one transaction: all of it or nothing.

        Raises:
            HostError: nft or the kernel refused; the message holds nft's words and the line, the notes all it said.
            PrivilegeError: This network namespace is not ours to change.
        """
        refusal, _ = self._run(text)
        if refusal is not None:
            hint = _TOO_LONG_HINT if "Message too long" in refusal else None
            error = HostError(f"nft refused the ruleset: {first_refusal(refusal)}", hint=hint)
            error.add_note(refusal)
            raise error

    def check(self, text: str) -> str | None:
        """Try *text* without applying it, up to the kernel's own verdict, and give the refusal or None.

        Raises:
            PrivilegeError: This network namespace is not ours to change.
        """
        refusal, _ = self._run(text, dry=True)
        return None if refusal is None else first_refusal(refusal)

    def list_json(self, what: str = "ruleset", *, elements: bool = True) -> list[dict[str, Any]]:
        """Read ``list WHAT`` (for example ``ruleset`` or ``table inet icshare``) as nft's list of objects.

        Each object is a dictionary with one key (``metainfo``, ``table``, ``chain``, ``rule``, ``set``, ...). Without
        *elements*, those of sets and maps are left out.

        Raises:
            HostError: There is no such object.
            PrivilegeError: This network namespace is not ours to read.

        Source:
            libnftables-json(5).
        """
        output = self._list(what, _OUTPUT_HANDLE | _OUTPUT_JSON | (0 if elements else _OUTPUT_TERSE))
        if not output:
            return []
        try:
            objects = json.loads(output)["nftables"]
        except (ValueError, KeyError, TypeError) as error:
            raise HostError(f"nft listed {what} in a form that is not its JSON: {error}") from error
        if not isinstance(objects, list):
            raise HostError(f"nft listed {what} in a form that is not its JSON")
        return objects

    def list_text(self, what: str = "ruleset") -> str:
        """Read ``list WHAT`` as ``nft -a`` prints it: the extensions of iptables are translated only here.

        Raises:
            HostError: There is no such object.
            PrivilegeError: This network namespace is not ours to read.
        """
        return self._list(what, _OUTPUT_HANDLE)

    def table_exists(self, family: str, name: str) -> bool:
        """Tell whether the table *family* *name* is in the kernel."""
        # Not "tables", for which libnftables fetches the elements of every set: with many mappings that takes long.
        objects = self.list_json(f"ruleset {family}", elements=False)
        tables = (entry["table"] for entry in objects if "table" in entry)
        return any(table["family"] == family and table["name"] == name for table in tables)

    def _list(self, what: str, flags: int) -> str:
        if not _LIST_TARGET.fullmatch(what):
            raise AssertionError(what)
        refusal, output = self._run(f"list {what}", flags=flags)
        if refusal is not None:
            raise HostError(f"nft could not list {what}: {first_refusal(refusal)}")
        return output

    def _run(self, text: str, *, dry: bool = False, flags: int = 0) -> tuple[str | None, str]:
        """Run *text*; give the refusal in nft's words or None, and the output."""
        if self._context is None:
            raise AssertionError("the context is not open")
        library = _load_library(self._name)
        descriptor = os.memfd_create("icshare-nft")
        try:
            # The file object writes all of it; os.write() may stop half way.
            with os.fdopen(descriptor, "wb", closefd=False) as file:
                file.write(text.encode())
            path = f"/proc/self/fd/{descriptor}"
            with _LIBRARY_LOCK:
                library.nft_ctx_set_dry_run(self._context, dry)
                library.nft_ctx_output_set_flags(self._context, flags)
                status = library.nft_run_cmd_from_filename(self._context, path.encode())
                # Reading a buffer also empties it for the next call, so both are read every time.
                output = library.nft_ctx_get_output_buffer(self._context).decode(errors="replace")
                errors = library.nft_ctx_get_error_buffer(self._context).decode(errors="replace")
        finally:
            os.close(descriptor)
        if status == 0:
            return None, output
        if _PRIVILEGE_REFUSED in errors:
            raise _privilege_error()
        return errors.replace(f"{path}:", "ruleset:").strip() or "no reason given", output


def first_refusal(errors: str) -> str:
    """Shorten what nft wrote about a refused text to one line: where, nft's words, the source line."""
    if match := _REFUSAL.search(errors):
        source = (match["source"] or "").strip()
        where = f"line {match['line']}, column {match['first']}"
        return f"{where}: {match['words']}" + (f" (in: {source})" if source else "")
    return errors.strip().partition("\n")[0].removeprefix("Error: ")


def _require_net_admin() -> None:
    """Refuse early when the effective capabilities cannot suffice in any namespace."""
    for line in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
        if line.startswith("CapEff:") and not int(line.split()[1], 16) >> _CAP_NET_ADMIN & 1:
            raise _privilege_error()


def _privilege_error() -> PrivilegeError:
    return PrivilegeError(
        "reading or changing the ruleset needs CAP_NET_ADMIN in this network namespace",
        hint="run it as root: sudo icshare ...",
    )
