"""BPF objects, programs and maps, by libbpf's shared library.

The library prints what it does to a function of ours; what it says while an object is loaded is kept, and is the reason
when the kernel refuses.

Source:
    ``bpf/libbpf.h`` and ``bpf/bpf.h`` of libbpf 1.1 (Debian 12), ``linux/bpf.h`` (struct bpf_prog_info, bpf_map_info).
"""

import contextlib
import ctypes
import errno
import os
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from struct import Struct
from types import TracebackType
from typing import Any, Final, Self

from icshare.errors import HostError, NotSupportedError, PrivilegeError
from icshare.host.fastpath import refusal
from icshare.model.link import IfIndex

LIBRARY: Final = "libbpf.so.1"

_PROG_INFO: Final = Struct("=II8sIIQQQIIQ16s")
_MAP_INFO: Final = Struct("=IIIIII16s")
_MAX_MAPS: Final = 64
_LOG_BYTES: Final = 1 << 16
_TCX: Final = (46, 47)  # BPF_TCX_INGRESS, BPF_TCX_EGRESS
_PERCPU_TYPES: Final = frozenset({5, 6, 10})  # percpu hash, percpu array, LRU percpu hash
_LOCK: Final = threading.Lock()
_PRINT = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)
_said: list[str] = []


class _OpenOptions(ctypes.Structure):
    """The beginning of struct bpf_object_open_opts; ``sz`` tells the library how much of it there is."""

    _fields_ = (("sz", ctypes.c_size_t), ("object_name", ctypes.c_char_p))


@cache
def _c_library() -> ctypes.CDLL:
    library = ctypes.CDLL(None)
    library.vsnprintf.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_void_p]
    return library


def _note(level: int, form: bytes, arguments: int) -> int:
    # A va_list is passed on as what it is on every architecture of Linux: a pointer.
    buffer = ctypes.create_string_buffer(_LOG_BYTES)
    _c_library().vsnprintf(buffer, _LOG_BYTES, form, arguments)
    if level == 0:  # warnings; the rest is for who debugs the library
        _said.append(buffer.value.decode(errors="replace"))
    return 0


_printer = _PRINT(_note)  # the library calls it as long as the process lives


@cache
def _load_library(name: str = LIBRARY) -> ctypes.CDLL:
    """Load libbpf once, with the signatures of the functions used here.

    Raises:
        NotSupportedError: The library is not installed.
    """
    try:
        library = ctypes.CDLL(name, use_errno=True)
    except OSError as error:
        raise NotSupportedError(f"the BPF library {name} is missing", hint="apt install libbpf1") from error
    pointer, number, text, size = ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_size_t
    unsigned = ctypes.c_uint32
    signatures: dict[str, tuple[list[Any], Any]] = {
        "libbpf_set_print": ([_PRINT], pointer),
        "libbpf_num_possible_cpus": ([], number),
        "bpf_object__open_mem": ([text, size, pointer], pointer),
        "bpf_object__load": ([pointer], number),
        "bpf_object__close": ([pointer], None),
        "bpf_object__find_map_by_name": ([pointer, text], pointer),
        "bpf_object__find_program_by_name": ([pointer, text], pointer),
        "bpf_object__next_map": ([pointer, pointer], pointer),
        "bpf_map__name": ([pointer], text),
        "bpf_map__fd": ([pointer], number),
        "bpf_map__type": ([pointer], number),
        "bpf_map__key_size": ([pointer], unsigned),
        "bpf_map__value_size": ([pointer], unsigned),
        "bpf_map__max_entries": ([pointer], unsigned),
        "bpf_map__map_flags": ([pointer], unsigned),
        "bpf_map__reuse_fd": ([pointer, number], number),
        "bpf_map__set_max_entries": ([pointer, unsigned], number),
        "bpf_program__fd": ([pointer], number),
        "bpf_program__set_autoload": ([pointer, ctypes.c_bool], number),
        "bpf_prog_get_fd_by_id": ([unsigned], number),
        "bpf_map_get_fd_by_id": ([unsigned], number),
        "bpf_obj_get_info_by_fd": ([number, pointer, pointer], number),
        "bpf_map_lookup_elem": ([number, text, pointer], number),
        "bpf_map_update_elem": ([number, text, text, ctypes.c_uint64], number),
        "bpf_map_delete_elem": ([number, text], number),
        "bpf_map_lookup_batch": ([number, pointer, pointer, pointer, pointer, pointer, pointer], number),
        "bpf_prog_query": ([number, number, unsigned, pointer, pointer, pointer], number),
        "bpf_map_create": ([number, text, unsigned, unsigned, unsigned, pointer], number),
    }
    for symbol, (arguments, result) in signatures.items():
        function = getattr(library, symbol)
        function.argtypes, function.restype = arguments, result
    library.libbpf_set_print(_printer)
    return library


def available(name: str = LIBRARY) -> None:
    """Check that the library is there.

    Raises:
        NotSupportedError: It is not installed.
    """
    _load_library(name)


def possible_cpus() -> int:
    """Return how many CPUs this machine may ever have, which is what per-CPU maps have values for."""
    return int(_load_library().libbpf_num_possible_cpus())


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The shape of a map: what has to be equal for one to take the other's place."""

    type: int
    key_size: int
    value_size: int
    max_entries: int
    flags: int

    @property
    def sizes(self) -> tuple[int, int]:
        """Bytes of a key and of a value."""
        return self.key_size, self.value_size


class Map:
    """A map of the kernel, open; use it as a context manager, or close it."""

    def __init__(self, fd: int) -> None:
        """Take an open file descriptor, which this object closes.

        Raises:
            HostError: The kernel tells nothing about it.
        """
        self.fd = fd
        try:
            info = _info(fd, bytearray(_MAP_INFO.size))
        except BaseException:
            os.close(fd)
            raise
        kind, self.id, key, value, entries, flags, name = _MAP_INFO.unpack(info)
        self.name = name.rstrip(b"\0").decode(errors="replace")
        self.layout = Layout(type=kind, key_size=key, value_size=value, max_entries=entries, flags=flags)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close it; closing twice is harmless."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    @property
    def _value_bytes(self) -> int:
        size = self.layout.value_size
        return (size + 7 & ~7) * possible_cpus() if self.layout.type in _PERCPU_TYPES else size

    def lookup(self, key: bytes) -> bytes | None:
        """Return the value of *key*, None without one; of a per-CPU map all values, one after another.

        Raises:
            HostError: The kernel refused.
        """
        self._check(key)
        buffer = ctypes.create_string_buffer(self._value_bytes)
        status = _load_library().bpf_map_lookup_elem(self.fd, key, buffer)
        if status == -errno.ENOENT:
            return None
        _succeed(status, f"read the map {self.name}")
        return buffer.raw

    def update(self, key: bytes, value: bytes) -> None:
        """Set the value of *key*.

        Raises:
            HostError: The kernel refused: ENOSPC or E2BIG when it is full.
        """
        self._check(key)
        if len(value) != self._value_bytes:
            raise AssertionError(f"{self.name}: a value has {self._value_bytes} bytes, not {len(value)}")
        _succeed(_load_library().bpf_map_update_elem(self.fd, key, value, 0), f"write the map {self.name}")

    def delete(self, key: bytes) -> None:
        """Forget *key*; that it is not there is no error.

        Raises:
            HostError: The kernel refused.
        """
        self._check(key)
        status = _load_library().bpf_map_delete_elem(self.fd, key)
        if status != -errno.ENOENT:
            _succeed(status, f"write the map {self.name}")

    def push(self, value: bytes) -> None:
        """Append *value* to a queue.

        Raises:
            HostError: The kernel refused: E2BIG when it is full.
        """
        if len(value) != self._value_bytes:
            raise AssertionError(f"{self.name}: a value has {self._value_bytes} bytes, not {len(value)}")
        _succeed(_load_library().bpf_map_update_elem(self.fd, None, value, 0), f"write the map {self.name}")

    def items(self, limit: int | None = None) -> dict[bytes, bytes]:
        """Return everything in it, in one or a few calls; of an array the first *limit* elements.

        Raises:
            HostError: The kernel refused.
        """
        size, width = self.layout.key_size, self._value_bytes
        room = self.layout.max_entries if limit is None else min(limit, self.layout.max_entries)
        keys, values = ctypes.create_string_buffer(room * size), ctypes.create_string_buffer(room * width)
        place = ctypes.create_string_buffer(max(size, 8))
        found: dict[bytes, bytes] = {}
        first = True
        while room > len(found):
            count = ctypes.c_uint32(room - len(found))
            start = None if first else place
            status = _load_library().bpf_map_lookup_batch(
                self.fd, start, place, keys, values, ctypes.byref(count), None
            )
            if status != -errno.ENOENT:  # the end
                _succeed(status, f"read the map {self.name}")
            for number in range(count.value):
                key = ctypes.string_at(ctypes.addressof(keys) + number * size, size)
                found[key] = ctypes.string_at(ctypes.addressof(values) + number * width, width)
            if status == -errno.ENOENT:
                break
            first = False
        return found

    def _check(self, key: bytes) -> None:
        if len(key) != self.layout.key_size:
            raise AssertionError(f"{self.name}: a key has {self.layout.key_size} bytes, not {len(key)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What the kernel says about a program.

    Attributes:
        id: Its identifier.
        name: Its name, 15 characters at most.
        tag: Digest of its instructions, in hexadecimal.
        maps: Identifiers of the maps it uses.
    """

    id: int
    name: str
    tag: str
    maps: tuple[int, ...]


def open_program(identifier: int) -> int | None:
    """Return a new file descriptor of the program with an identifier, None when it is gone.

    Raises:
        PrivilegeError: A capability is missing.
        HostError: The kernel refused for another reason.
    """
    fd = _load_library().bpf_prog_get_fd_by_id(identifier)
    return None if fd == -errno.ENOENT else _succeed(fd, f"look at the BPF program {identifier}")


def has_tcx(link: IfIndex) -> bool:
    """Tell whether a link has programs of tc that are attached without a filter, on the way in or out.

    There are none where they cannot be asked for: before Linux 6.6, without BPF, without privilege or this library.
    """
    try:
        query = _load_library().bpf_prog_query
    except NotSupportedError:
        return False
    count = ctypes.c_uint32()
    return any(query(link, place, 0, None, None, ctypes.byref(count)) == 0 and count.value for place in _TCX)


def open_map(identifier: int) -> Map | None:
    """Return the map with an identifier, None when it is gone; errors as for `open_program`."""
    fd = _load_library().bpf_map_get_fd_by_id(identifier)
    return None if fd == -errno.ENOENT else Map(_succeed(fd, f"look at the BPF map {identifier}"))


def describe(fd: int) -> Program:
    """Return what the kernel says about the program of a file descriptor.

    Raises:
        HostError: It says nothing.
    """
    maps = (ctypes.c_uint32 * _MAX_MAPS)()
    asked = bytearray(_PROG_INFO.pack(0, 0, b"", 0, 0, 0, 0, 0, 0, _MAX_MAPS, ctypes.addressof(maps), b""))
    info = _PROG_INFO.unpack(_info(fd, asked))
    name = info[11].rstrip(b"\0").decode(errors="replace")
    return Program(id=info[1], name=name, tag=info[2].hex(), maps=tuple(maps[: min(info[9], _MAX_MAPS)]))


class Object:
    """An object file with programs and maps, opened, and loaded when `load` is called. A context manager.

    What is attached, or held open by a file descriptor of its own, outlives it.
    """

    def __init__(self, content: bytes, name: str) -> None:
        """Read an object.

        Args:
            content: The file's content.
            name: Begins the names of the maps for global variables: ``fastpath`` makes ``fastpath.bss``.

        Raises:
            NotSupportedError: libbpf is missing.
            HostError: It is no object of BPF.
        """
        self._library = _load_library()
        self._content = content  # the library refers to it until the object is closed
        options = _OpenOptions(sz=ctypes.sizeof(_OpenOptions), object_name=name.encode())
        with _words() as said:
            self._object = self._library.bpf_object__open_mem(content, len(content), ctypes.byref(options))
        if not self._object:
            raise HostError(f"the BPF object {name} cannot be read: {_last(said)}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Free it; closing twice is harmless."""
        if self._object:
            self._library.bpf_object__close(self._object)
            self._object = None

    def layouts(self) -> Mapping[str, Layout]:
        """Return the shapes of its maps, by name as the kernel will show it."""
        found = {}
        place = self._library.bpf_object__next_map(self._object, None)
        while place:
            found[self._library.bpf_map__name(place).decode()] = Layout(
                type=self._library.bpf_map__type(place),
                key_size=self._library.bpf_map__key_size(place),
                value_size=self._library.bpf_map__value_size(place),
                max_entries=self._library.bpf_map__max_entries(place),
                flags=self._library.bpf_map__map_flags(place),
            )
            place = self._library.bpf_object__next_map(self._object, place)
        return found

    def resize(self, name: str, entries: int) -> None:
        """Give a map room for *entries*, before `load`.

        Raises:
            HostError: The library refused.
        """
        _succeed(self._library.bpf_map__set_max_entries(self._map(name), entries), f"size the BPF map {name}")

    def reuse(self, name: str, present: Map) -> None:
        """Have the programs use a map that exists, before `load`.

        Raises:
            HostError: The library refused.
        """
        _succeed(self._library.bpf_map__reuse_fd(self._map(name), present.fd), f"take over the BPF map {name}")

    def leave_out(self, program: str) -> None:
        """Do not load one of the programs."""
        status = self._library.bpf_program__set_autoload(self._program(program), False)  # noqa: FBT003 - C knows no other
        _succeed(status, f"leave out the BPF program {program}")

    def load(self) -> None:
        """Make the maps, and have the kernel verify the programs.

        Raises:
            NotSupportedError: The kernel does not take it; the message has its reason, the notes all that was said.
        """
        with _words() as said:
            status = self._library.bpf_object__load(self._object)
        if status:
            raise refusal.refused(-status, said, refusal.look())

    def map(self, name: str) -> Map:
        """Return a map of the loaded object, with a file descriptor of its own."""
        return Map(os.dup(self._library.bpf_map__fd(self._map(name))))

    def program(self, name: str) -> int:
        """Return the file descriptor of a program of the loaded object; it lasts as long as this object."""
        return int(self._library.bpf_program__fd(self._program(name)))

    def _map(self, name: str) -> int:
        found = self._library.bpf_object__find_map_by_name(self._object, name.encode())
        if not found:
            raise AssertionError(f"the BPF object has no map {name}")
        return int(found)

    def _program(self, name: str) -> int:
        found = self._library.bpf_object__find_program_by_name(self._object, name.encode())
        if not found:
            raise AssertionError(f"the BPF object has no program {name}")
        return int(found)


def wait_for_readers() -> None:
    """Return when every packet is through that was in the kernel's hands, in whatever hook, when this was called.

    Where ``membarrier(2)`` does not do it (nohz_full), changing a map of maps does: userspace is promised that the
    programs that saw the old one have ended.

    Raises:
        HostError: Neither works.
    """
    if _membarrier():
        return
    library = _load_library()
    with contextlib.ExitStack() as stack:
        inner = _succeed(library.bpf_map_create(2, b"", 4, 4, 1, None), "make a BPF map")
        stack.callback(os.close, inner)
        options = _MapOptions(sz=ctypes.sizeof(_MapOptions), inner_map_fd=inner)
        outer = _succeed(library.bpf_map_create(12, b"", 4, 4, 1, ctypes.byref(options)), "make a BPF map")
        stack.callback(os.close, outer)
        status = library.bpf_map_update_elem(outer, bytes(4), Struct("=I").pack(inner), 0)
        _succeed(status, "wait for the kernel to be through with its packets")


class _MapOptions(ctypes.Structure):
    """The beginning of struct bpf_map_create_opts."""

    _fields_ = (
        ("sz", ctypes.c_size_t),
        ("btf_fd", ctypes.c_uint32),
        ("btf_key_type_id", ctypes.c_uint32),
        ("btf_value_type_id", ctypes.c_uint32),
        ("btf_vmlinux_value_type_id", ctypes.c_uint32),
        ("inner_map_fd", ctypes.c_uint32),
    )


_MEMBARRIER: Final = {"x86_64": 324, "aarch64": 283, "riscv64": 283, "loongarch64": 283, "ppc64le": 365, "s390x": 356}
_MEMBARRIER_CMD_GLOBAL: Final = 1


def _membarrier() -> bool:
    number = _MEMBARRIER.get(os.uname().machine) if ctypes.sizeof(ctypes.c_void_p) == 8 else None
    return number is not None and _c_library().syscall(number, _MEMBARRIER_CMD_GLOBAL, 0, 0) == 0


@contextlib.contextmanager
def _words() -> Iterator[list[str]]:
    """Collect what the library warns about meanwhile."""
    said: list[str] = []
    with _LOCK:
        _said.clear()
        try:
            yield said
        finally:
            said += _said


def _last(said: Iterable[str]) -> str:
    lines = "".join(said).strip().splitlines()
    return lines[-1].removeprefix("libbpf: ") if lines else "no reason given"


def _info(fd: int, asked: bytearray) -> bytes:
    buffer = (ctypes.c_char * len(asked)).from_buffer(asked)
    size = ctypes.c_uint32(len(asked))
    _succeed(_load_library().bpf_obj_get_info_by_fd(fd, buffer, ctypes.byref(size)), "look at a BPF object")
    return bytes(asked)


def _succeed(status: int, purpose: str) -> int:
    """Return *status* unless it is a negative error number."""
    if status >= 0:
        return status
    number = -status
    if number in {errno.EPERM, errno.EACCES}:
        privilege = PrivilegeError(f"cannot {purpose}: CAP_SYS_ADMIN is missing", hint="run it as root")
        privilege.errno = number
        raise privilege
    error = HostError(f"cannot {purpose}: {os.strerror(number)} ({errno.errorcode.get(number, number)})")
    error.errno = number
    raise error
