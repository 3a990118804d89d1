"""A contender on its rig."""

from dataclasses import dataclass

from benchmarks.paths.rig import Rig


@dataclass(frozen=True, slots=True, kw_only=True)
class Stand:
    """A contender on its rig.

    Attributes:
        name: The contender's.
        rig: Where it stands.
        public: Address by which the Internet knows the client; None when nobody looks at addresses.
    """

    name: str
    rig: Rig
    public: str | None
