"""The kernel's database of what radios may do in which country: ``regulatory.db``. No file is opened here.

Numbers are in network byte order. After the header come the countries, four bytes each, up to one without a pointer; a
pointer counts four bytes. A country points to its collection, a collection to its rules. Collections and rules begin
with their own length, so that newer ones may hold more than is read here.

Source:
    ``struct fwdb_header``, ``fwdb_country``, ``fwdb_collection``, ``fwdb_rule`` in the kernel's
    ``net/wireless/reg.c``; regulatory.db(5) of wireless-regdb.
"""

from collections.abc import Iterable
from struct import Struct, error

from icshare.errors import HostError
from icshare.model.regulation import Regulation, RegulatoryRule
from icshare.model.wifi import Country

_MAGIC = b"RGDB"
_VERSION = 20
_HEADER = Struct("!4sI")
_COUNTRY = Struct("!2sH")
_COLLECTION = Struct("!BBB")
_RULE = Struct("!BBHIII")
_POINTER = Struct("!H")
_UNIT = 4
_NO_OUTDOOR, _DFS, _NO_IR, _AUTO_BANDWIDTH = 1 << 1, 1 << 2, 1 << 3, 1 << 4


def countries(data: bytes) -> frozenset[Country]:
    """Return the countries that the database *data* knows, `wifi.WORLD` among them.

    Raises:
        HostError: It is damaged, or no database of a version known here.
    """
    return frozenset(Country(code.decode("ascii", "backslashreplace")) for code, _ in _entries(data))


def find_regulation(data: bytes, country: Country) -> Regulation | None:
    """Return what holds in *country* by the database *data*, None where it does not know the country.

    Raises:
        HostError: It is damaged, or no database of a version known here.
    """
    for code, pointer in _entries(data):
        if code == country.encode():
            return Regulation(country=country, rules=_collection(data, pointer * _UNIT))
    return None


def _entries(data: bytes) -> Iterable[tuple[bytes, int]]:
    magic, version = _read(_HEADER, data, 0)
    if magic != _MAGIC:
        raise HostError("the regulatory database does not begin as one")
    if version != _VERSION:
        raise HostError(f"the regulatory database is of version {version}, not {_VERSION}")
    offset = _HEADER.size
    while True:
        code, pointer = _read(_COUNTRY, data, offset)
        if not pointer:
            return
        yield code, pointer
        offset += _COUNTRY.size


def _collection(data: bytes, offset: int) -> tuple[RegulatoryRule, ...]:
    length, count, _ = _read(_COLLECTION, data, offset)
    if length < _COLLECTION.size:
        raise HostError(f"the regulatory database has a collection of {length} bytes at {offset}")
    first = offset + (length + 1) // 2 * 2
    return tuple(
        _rule(data, _read(_POINTER, data, first + number * _POINTER.size)[0] * _UNIT) for number in range(count)
    )


def _rule(data: bytes, offset: int) -> RegulatoryRule:
    length, flags, power, start, end, bandwidth = _read(_RULE, data, offset)
    if length < _RULE.size:
        raise HostError(f"the regulatory database has a rule of {length} bytes at {offset}")
    return RegulatoryRule(
        start=start,
        end=end,
        max_bandwidth=bandwidth,
        max_power=power,
        no_ir=bool(flags & _NO_IR),
        radar=bool(flags & _DFS),
        no_outdoor=bool(flags & _NO_OUTDOOR),
        auto_bandwidth=bool(flags & _AUTO_BANDWIDTH),
    )


def _read(form: Struct, data: bytes, offset: int) -> tuple:  # type: ignore[type-arg]
    try:
        return form.unpack_from(data, offset)
    except error as short:
        raise HostError(f"the regulatory database ends at {len(data)}, before what should be at {offset}") from short
