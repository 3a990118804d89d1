"""What every step is, and how it names a link."""

import hashlib
from typing import Annotated, Self

import msgspec

from icshare.model.link import Link
from icshare.model.names import InterfaceName
from icshare.model.snapshot import Snapshot

# A journal is decoded with these limits: what lies outside of them was not written by us. (\Z: $ lets a newline pass.)
_Index = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]


def digest(text: str) -> str:
    """Return the short digest that tells one version of *text* from another: 16 hexadecimal digits of SHA-256."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class Step(msgspec.Struct, frozen=True, kw_only=True, tag_field="step", omit_defaults=True):
    """Base of all steps."""

    @property
    def key(self) -> str:
        """Name of the thing that this step gives a value to."""
        raise AssertionError

    def describe(self) -> str:
        """Say in one line what this step does."""
        raise AssertionError

    def inverse(self) -> "Step":
        """Return the step that takes this one back."""
        raise AssertionError


class LinkRef(msgspec.Struct, frozen=True, omit_defaults=True):
    """A link that a step works on.

    The index names the very device seen when the plan was made, also after a rename; a device plugged in again is
    another one. Index 0 stands for a link that an earlier step creates: it goes by its name.
    """

    name: InterfaceName
    index: _Index = 0

    @classmethod
    def to(cls, link: Link) -> Self:
        """Return the reference to a link that is there."""
        return cls(InterfaceName(link.name), link.index)

    @classmethod
    def called(cls, name: InterfaceName, snapshot: Snapshot) -> Self:
        """Return the reference to the link with a name; that of one that is not there goes by its name."""
        link = snapshot.link(name)
        return cls(name) if link is None else cls.to(link)

    @property
    def key(self) -> str:
        """What tells this device from all others: two devices may bear one name after each other."""
        return f"{self.name}/{self.index}"

    def __str__(self) -> str:
        return self.name
