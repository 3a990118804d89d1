"""Collections and enumerators: snapshots, taken when the getter is called.

``Count`` and iteration agree with each other whatever happens meanwhile; the elements themselves are live. There is no
``Item``: elements are reached by iteration only.
"""

# ruff: noqa: N802 (the names are Windows')

from collections.abc import Iterator, Sequence
from typing import Generic, Self, TypeVar

from icshare.netcon.arguments import whole_number
from icshare.netcon.connections import INetConnection
from icshare.netcon.hresults import S_FALSE, S_OK
from icshare.netcon.mappings import INetSharingPortMapping

T_co = TypeVar("T_co", covariant=True)


class _Enumerator(Generic[T_co]):
    """A standard COM enumerator, which is also an iterator of Python."""

    def __init__(self, elements: Sequence[T_co], position: int = 0) -> None:
        self._elements = tuple(elements)
        self._position = position

    def Next(self, celt: int = 1) -> tuple[int, tuple[T_co, ...]]:
        """Return the next *celt* elements and move on.

        Returns:
            ``(hresult, elements)``: `S_OK` with *celt* elements, or `S_FALSE` with fewer at the end. The number that
            C programs get as ``pceltFetched`` is the length of the second.

        Raises:
            E_INVALIDARG: *celt* is not an unsigned 32-bit number.
        """
        wanted = whole_number(celt, "celt", most=0xFFFFFFFF)
        elements = self._elements[self._position : self._position + wanted]
        self._position += len(elements)
        return (S_OK if len(elements) == wanted else S_FALSE), elements

    def Skip(self, celt: int) -> int:
        """Move on by *celt* elements.

        Returns:
            `S_OK`, or `S_FALSE` when there were fewer.

        Raises:
            E_INVALIDARG: *celt* is not an unsigned 32-bit number.
        """
        return self.Next(celt)[0]

    def Reset(self) -> int:
        """Go back to the first element; returns `S_OK`."""
        self._position = 0
        return S_OK

    def Clone(self) -> Self:
        """Return another enumerator of the same elements at the same position."""
        return type(self)(self._elements, self._position)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> T_co:
        _, elements = self.Next(1)
        if not elements:
            raise StopIteration
        return elements[0]


class IEnumNetConnection(_Enumerator[INetConnection]):
    """Enumerator of `INetConnectionManager`."""


class IEnumNetSharingEveryConnection(_Enumerator[INetConnection]):
    """Enumerator of `INetSharingEveryConnectionCollection`."""


class IEnumNetSharingPublicConnection(_Enumerator[INetConnection]):
    """Enumerator of `INetSharingPublicConnectionCollection`."""


class IEnumNetSharingPrivateConnection(_Enumerator[INetConnection]):
    """Enumerator of `INetSharingPrivateConnectionCollection`."""


class IEnumNetSharingPortMapping(_Enumerator[INetSharingPortMapping]):
    """Enumerator of `INetSharingPortMappingCollection`."""


class _Collection(Generic[T_co]):
    """A collection of a fixed number of elements."""

    def __init__(self, elements: Sequence[T_co]) -> None:
        self._elements = tuple(elements)

    @property
    def Count(self) -> int:
        """How many elements there are."""
        return len(self._elements)

    def __len__(self) -> int:
        return len(self._elements)

    def __iter__(self) -> Iterator[T_co]:
        return iter(self._elements)


class INetSharingEveryConnectionCollection(_Collection[INetConnection]):
    """All connections."""

    @property
    def _NewEnum(self) -> IEnumNetSharingEveryConnection:
        """An enumerator at the first element."""
        return IEnumNetSharingEveryConnection(self._elements)


class INetSharingPublicConnectionCollection(_Collection[INetConnection]):
    """The public connection, or nothing."""

    @property
    def _NewEnum(self) -> IEnumNetSharingPublicConnection:
        """An enumerator at the first element."""
        return IEnumNetSharingPublicConnection(self._elements)


class INetSharingPrivateConnectionCollection(_Collection[INetConnection]):
    """The private connections."""

    @property
    def _NewEnum(self) -> IEnumNetSharingPrivateConnection:
        """An enumerator at the first element."""
        return IEnumNetSharingPrivateConnection(self._elements)


class INetSharingPortMappingCollection(_Collection[INetSharingPortMapping]):
    """The port mappings of one connection."""

    @property
    def _NewEnum(self) -> IEnumNetSharingPortMapping:
        """An enumerator at the first element."""
        return IEnumNetSharingPortMapping(self._elements)
