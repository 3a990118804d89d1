"""What brings port mappings into force, and takes them out: the elements of the kernel's maps, as the state has them.

Opening a port: written down first, then done. Closing one: done first, then written down. So no port is ever open that
the state does not name. When the second half is refused the first is put back. When the process dies between the two,
the mark that it has set in the store stays, and the next change begins by making the kernel's elements what the state
says.

An element is wanted by a mapping; where two mappings want one slot (they lead to one socket, which can keep only one
external port for what it sends) the one with the lower number has it.
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace

from icshare.control.ports import MappingTable, Store, Surroundings
from icshare.errors import IcshareError, NotSupportedError
from icshare.model.mapping import PortMapping, TargetKind
from icshare.model.state import State
from icshare.plan.placing import (
    InForce,
    Swap,
    by_slot,
    exchange,
    fate,
    gone_sockets,
    holders,
    rivals_of,
    slot,
    sockets_of,
)
from icshare.plan.staterecords import Fact, Mapped, Removed
from icshare.plan.targets import Known


class Opening:
    """Opens and closes ports; everything but `look` is to be called under the store's lock."""

    def __init__(self, *, store: Store, table: MappingTable, surroundings: Surroundings) -> None:
        """Take what it works on; nothing is changed yet."""
        self._store = store
        self._table = table
        self._surroundings = surroundings

    def look(self) -> tuple[InForce, Known]:
        """Return what mappings depend on, and what their targets can be looked up in.

        Raises:
            HostError: The host could not be read.
        """
        there = self._surroundings.in_force()
        return there, self._surroundings.known(there)

    def repaired(self) -> State:
        """Return the state, after mending what a writer that was killed has left undone. Errors as in `equalize`."""
        if self._store.unfinished:
            self.equalize()
        return self._store.load()

    def equalize(self) -> None:
        """Make the kernel's elements what the state says.

        Raises:
            HostError: The machine refused; the mark stays, and the next change tries again.
        """
        there, known = self.look()
        fates = (fate(one, there, known) for one in self._store.load().mappings.values() if one.enabled)
        wanted = {place: element for place, (_, element) in holders(fates).items()}
        swap = exchange(by_slot(self._table.present()), wanted)
        swap = replace(swap, cut=sockets_of(swap.remove))
        self._store.unfinished = True
        self._apply(swap)
        state = self._store.load()
        self._surroundings.attend(follow=any(state.mappings[number].enabled for number in state.followed))
        self._store.unfinished = False

    def open(self, state: State, before: PortMapping | None, after: PortMapping, facts: Sequence[Fact]) -> None:
        """Close what *after* does not need, write *facts* down, then bring it into force in place of *before*.

        Raises:
            HostError: The machine refused; nothing was changed.
        """
        swap = self._swap(state, [before] if before else [], [after])
        stays = {slot(one) for one in swap.add}
        closing = Swap(remove=tuple(one for one in swap.remove if slot(one) not in stays))
        opening = replace(swap, remove=tuple(one for one in swap.remove if slot(one) in stays))
        undo = Mapped(mapping=before) if before else Removed(number=after.number)
        self._mark(swap)
        try:
            self._change(closing)
        except IcshareError:
            self._unmark(swap)
            raise
        try:
            self._store.append(*facts)
        except IcshareError:
            self._change(closing.reversed)
            self._unmark(swap)
            raise
        try:
            self._apply(opening, follow=after.enabled and after.target.kind is not TargetKind.ADDRESS)
        except BaseException as error:  # cancellation must put back too
            self._store.append(undo)
            self._change(closing.reversed)
            self._unmark(swap, error)
            raise
        self._unmark(swap)

    def close(self, state: State, mappings: Sequence[PortMapping], facts: Sequence[Fact]) -> None:
        """Take *mappings* out of force, then write *facts* down. Errors as in `open`."""
        swap = self._swap(state, mappings, [])
        self._mark(swap)
        try:
            self._apply(swap)
        except IcshareError:
            self._unmark(swap)
            raise
        try:
            self._store.append(*facts)
        except BaseException as error:  # as above
            self._change(swap.reversed)
            self._unmark(swap, error)
            raise
        self._unmark(swap)

    def withdraw(self) -> None:
        """Take every mapping out of force and leave the mark: the kernel is not what the state says.

        Raises:
            HostError: The machine refused; the next change brings back what can be.
        """
        there, known = self.look()
        placed = [fate(one, there, known) for one in self._store.load().mappings.values() if one.enabled]
        self._store.unfinished = True
        self._apply(Swap(remove=tuple(self._table.present()), add=(), cut=gone_sockets(placed, ())))

    def _mark(self, swap: Swap) -> None:
        if swap:
            self._store.unfinished = True

    def _unmark(self, swap: Swap, error: BaseException | None = None) -> None:
        """Take the mark away; after an interruption nobody knows what was done, so it stays."""
        if swap and (error is None or isinstance(error, IcshareError)):
            self._store.unfinished = False

    def _apply(self, swap: Swap, *, follow: bool = False) -> None:
        """Change the kernel's elements, then cut what went through them; after an error all is as before.

        Args:
            swap: The change.
            follow: Have somebody follow the targets that move.
        """
        self._change(swap)
        try:
            self._cut(swap)
            if follow:
                self._surroundings.attend(follow=True)
        except BaseException:  # as above
            self._change(swap.reversed)
            raise

    def _change(self, swap: Swap) -> None:
        if swap:
            self._table.change(swap.remove, swap.add, swap.cut)

    def _cut(self, swap: Swap) -> None:
        if swap.cut:
            # A port must close even where the kernel does not let its connections be cut.
            with suppress(NotSupportedError):
                self._surroundings.cut(swap.cut)

    def _swap(self, state: State, before: Iterable[PortMapping], after: Iterable[PortMapping]) -> Swap:
        """Return what in the kernel changes when *after* take the place of *before*."""
        there, known = self.look()
        old = [fate(one, there, known) for one in before if one.enabled]
        new = [fate(one, there, known) for one in after if one.enabled]
        own = {one.mapping.number for one in (*old, *new)}
        rivals = [fate(one, there, known) for one in rivals_of(state, (*old, *new)) if one.number not in own]
        slots = {slot(element) for one in (*old, *new) for element in one.elements}
        return exchange(
            {place: one for place, (_, one) in holders((*old, *rivals)).items() if place in slots},
            {place: one for place, (_, one) in holders((*new, *rivals)).items() if place in slots},
            cut=gone_sockets(old, new),
        )
