"""Who is public, who is private, who has a firewall: designated one by one, in any order, and brought into force.

Every change is written down first, then brought into force; when that fails, both are put back. What cannot be in force
(one side is missing, a connection is absent) stays written down, and is inert.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from ipaddress import IPv4Network
from typing import Protocol
from uuid import UUID

from icshare.control.ports import StateLog
from icshare.engine import Engine, Outcome
from icshare.errors import GoneError, IcshareError, PolicyError, RefusedError
from icshare.model.connection import Connection, Verdict
from icshare.model.firewall import FirewallOptions
from icshare.model.names import interface_name
from icshare.model.settings import Settings
from icshare.model.sharing import Sharing, Wanted
from icshare.model.state import Designation, State
from icshare.plan.connections import firewallable, guid_of_name
from icshare.plan.designated import made_for, wanted, with_private, with_public, without, without_access_point
from icshare.plan.staterecords import Designated, Fact, Protected, Seen
from icshare.ports import Progress, silent

Firewalls = Mapping[UUID, FirewallOptions]
"""Connections whose firewall is on, with its options."""

_POLICY_HINT = "it stands under [policy] in icshare.toml"


class Host(Protocol):
    """What the roles need to know of the machine."""

    def require_admin(self) -> None:
        """Check the privilege that every change needs.

        Raises:
            PrivilegeError: It is missing.
        """
        ...

    def connections(self) -> Sequence[Connection]:
        """Return the connections as they would be without us."""
        ...

    def login(self, interface: str) -> int | None:
        """Return the port of the administrator's own login through *interface*, None when there is none."""
        ...


class Mappings(Protocol):
    """What the roles need of the port mappings."""

    def withdraw(self) -> None:
        """Take every mapping out of force, defined as they are."""
        ...

    def sync(self) -> None:
        """Bring into force what can be."""
        ...

    def disable_all(self, connection: UUID) -> None:
        """Disable every mapping of *connection*."""
        ...

    def enable(self, number: int) -> None:
        """Enable one mapping."""
        ...


class Roles:
    """Changes who has which part."""

    def __init__(self, *, store: StateLog, engine: Engine, host: Host, mappings: Mappings, settings: Settings) -> None:
        """Take what it works on; nothing is changed yet."""
        self._store = store
        self._engine = engine
        self._host = host
        self._mappings = mappings
        self._settings = settings

    def wanted(self, sharing: Sharing, *, firewall: bool) -> Wanted:
        """Return what `share` would bring into force: the sharing, beside the firewalls that there are.

        A private connection that has an access point keeps it, unless another is asked for.
        """
        state, found = self._store.load(), self._host.connections()
        kept, wireless = state.designation.access_point, state.designation.wireless
        if sharing.access_point is None and kept is not None:
            name = next((one.interface for one in found if one.guid == wireless), "")
            if name in sharing.privates:
                sharing = replace(sharing, access_point=replace(kept, interface=interface_name(name)))
        public = next((one.guid for one in found if one.interface == sharing.public), None)
        if public is not None:
            state = replace(state, firewalls=_firewalls(state, public, on=firewall))
        privates = {one.guid for one in found if one.interface in sharing.privates}
        rest = replace(state, designation=replace(state.designation, privates=tuple(privates)))
        return Wanted(sharing=sharing, firewalls=wanted(rest, found, self._settings, self._host.login).firewalls)

    def share(self, sharing: Sharing, *, firewall: bool, progress: Progress) -> Outcome:
        """Put *sharing* in place of every role there is; the firewall of a public connection before stays on.

        Raises:
            IcshareError: As `Engine.apply`; everything was put back.
        """
        self.authorize()
        with self._store.lock():
            asked = self.wanted(sharing, firewall=firewall)
            access_point = asked.sharing.access_point if asked.sharing else None
            beside = access_point is not None and access_point.interface == sharing.public
            self._refuse_bridge(len(sharing.privates) + beside)
            by_name = {one.interface: one.guid for one in self._host.connections()}
            named = {sharing.public, *sharing.privates}
            if not named <= by_name.keys() or (access_point is not None and access_point.interface not in named):
                self._engine.propose(asked)
                raise AssertionError("a sharing of unknown connections was not refused")
            designation = Designation(
                public=by_name[sharing.public],
                privates=tuple(by_name[name] for name in sharing.privates),
                subnet=sharing.subnet if sharing.subnet != self._settings.subnet else None,
                fast_path=sharing.fast_path if sharing.fast_path != self._settings.fast_path else None,
                access_point=access_point,
                wireless=by_name[access_point.interface] if access_point else None,
            )
            firewalls = _firewalls(self._store.load(), by_name[sharing.public], on=firewall)
            outcome = self._change(designation, firewalls, asked, progress)
        assert outcome is not None, "a sharing is something"
        return outcome

    def stop(self, progress: Progress) -> int:
        """Take back everything: sharing, roles and firewalls. Port mappings stay as they are defined.

        For that nothing has to be written down: a state that cannot be read or written is told of afterwards.

        Returns:
            How many steps were taken back.

        Raises:
            ExceptionGroup: Some steps could not be taken back; the others were.
            IcshareError: All were, but the state could not be read or written.
        """
        self._host.require_admin()
        with ExitStack() as stack:
            refused: IcshareError | None = None
            try:
                stack.enter_context(self._store.lock())
                if any(one.enabled for one in self._store.load().mappings.values()):
                    self._mappings.withdraw()  # which cuts what came in by them
            except IcshareError as error:
                refused = error
            count = self._engine.stop(progress)
            try:
                if refused is not None:
                    raise refused
                self._mappings.sync()  # whoever was killed in the middle of a change has left nothing to be done
                self._write(self._store.load(), Designation(), {})
            except IcshareError as error:
                error.add_note(f"nothing is in force any more ({count} changes taken back), but that is not noted")
                raise
        return count

    def set_public(self, guid: UUID) -> None:
        """Make a connection the public one, in place of the present, and protect it.

        The connection that was public is shared no longer, and its mappings are disabled; its firewall stays on. So are
        the mappings of a connection that was private; those of one that had no part stay as they are.

        Raises:
            GoneError: There is no such connection.
            RefusedError: It cannot be public.
            PolicyError: The administrator's policy forbids sharing.
            IcshareError: As `Engine.apply`; everything was put back.
        """
        self.authorize()
        connection = self._find(guid)
        _refuse(connection, "public connection", connection.as_public)
        with self._store.lock():
            state = self._load()
            designation = with_public(state.designation, guid)
            former = state.designation.public
            unshared = [one for one in (former,) if one is not None and one != guid]
            unshared += [guid] if guid in state.designation.privates else []
            protect = firewallable(connection, private=False).ok
            self._bring(designation, _firewalls(state, guid, on=True) if protect else state.firewalls, unshared)

    def add_private(self, guid: UUID) -> None:
        """Make a connection a private one, beside those that there are; its firewall setting stays as it is.

        Raises:
            GoneError: There is no such connection.
            RefusedError: It cannot be private.
            PolicyError: The administrator's policy forbids sharing.
            IcshareError: As `Engine.apply`; everything was put back.
        """
        self.authorize()
        connection = self._find(guid)
        _refuse(connection, "private connection", connection.as_private)
        with self._store.lock():
            state = self._load()
            designation = with_private(state.designation, guid)
            self._refuse_bridge(len(designation.privates))
            unshared = [guid] if designation.public != state.designation.public else []
            self._bring(designation, state.firewalls, unshared)

    def unshare(self, guid: UUID) -> None:
        """Take a connection's part away, if it has one, and disable its mappings; its firewall stays on.

        Raises:
            PolicyError: The administrator's policy forbids it.
            IcshareError: As `Engine.apply`; everything was put back.
        """
        self.authorize()
        with self._store.lock():
            state = self._load()
            designation = (
                without_access_point(state.designation) if self._is_made(guid) else without(state.designation, guid)
            )
            if designation != state.designation:
                self._bring(designation, state.firewalls, [guid])
            else:
                self._mappings.disable_all(guid)

    def resume(self, guid: UUID) -> None:
        """Bring into force what waited for a connection that has just come: its part in sharing, its firewall.

        Raises:
            IcshareError: As `Engine.apply`; everything was put back.
        """
        with self._store.lock():
            state = self._load()
            parts = {state.designation.public, *state.designation.privates, *state.firewalls}
            if guid in parts and (self._settings.policy.sharing or state.designation == Designation()):
                self._bring(state.designation, state.firewalls)

    def set_firewall(self, guid: UUID, options: FirewallOptions | None) -> None:
        """Switch a connection's firewall on with *options*, or off with None; once more mends what is not so.

        Raises:
            GoneError: There is no such connection.
            RefusedError: A connection of this kind cannot have one.
            PolicyError: The administrator's policy forbids it.
            IcshareError: As `Engine.apply`; everything was put back.
        """
        self._host.require_admin()
        if not self._settings.policy.firewall:
            raise PolicyError("the administrator's policy forbids to switch firewalls on or off", hint=_POLICY_HINT)
        with self._store.lock():
            state = self._load()
            firewalls = dict(state.firewalls)
            if options is None:
                firewalls.pop(guid, None)
            else:
                connection = self._find(guid)
                private = guid in state.designation.privates
                verdict = firewallable(connection, private=private)
                hint = "icshare firewall on --help tells which connections can have one"
                _refuse(connection, "connection with a firewall", verdict, hint=hint)
                firewalls[guid] = options
            self._bring(state.designation, firewalls)

    def set_subnet(self, subnet: IPv4Network | None) -> None:
        """Remember the subnet for the next sharing that is designated piece by piece; what is in force stays."""
        self.authorize()
        with self._store.lock():
            state = self._store.load()
            self._write(state, replace(state.designation, subnet=subnet), state.firewalls)

    def authorize(self) -> None:
        """Check privilege and policy; a sharing that the policy has forbidden meanwhile ends here.

        Raises:
            PrivilegeError: CAP_NET_ADMIN is missing.
            PolicyError: The administrator's policy prohibits sharing.
        """
        self._host.require_admin()
        if self._settings.policy.sharing:
            return
        with self._store.lock():
            record = self._engine.record()
            stopped = record is not None and record.sharing is not None
            if stopped:
                state = self._store.load()
                self._bring(replace(state.designation, public=None), state.firewalls)
        raise PolicyError(
            "the administrator's policy prohibits sharing" + ("; the present one was stopped" if stopped else ""),
            hint=_POLICY_HINT,
        )

    def _refuse_bridge(self, privates: int) -> None:
        if privates > 1 and not self._settings.policy.bridge:
            raise PolicyError("the administrator's policy forbids to bridge private connections", hint=_POLICY_HINT)

    def _load(self) -> State:
        """Return what is written down, its roles completed by those in force: the state file may have been lost."""
        state, record = self._store.load(), self._engine.record()
        if record is None or record.sharing is None:
            return state
        by_name = {one.interface: one.guid for one in self._host.connections()}
        public = by_name.get(record.sharing.public, state.designation.public)
        shared = (by_name[name] for name in record.sharing.privates if name in by_name)
        privates = tuple(one for one in dict.fromkeys((*state.designation.privates, *shared)) if one != public)
        designation = replace(state.designation, public=public, privates=privates)
        access_point = record.sharing.access_point
        if access_point is not None and access_point.interface in by_name and designation.access_point is None:
            wireless = by_name[access_point.interface]
            designation = replace(designation, access_point=access_point, wireless=wireless)
        return replace(state, designation=designation)

    def _is_made(self, guid: UUID) -> bool:
        """Tell whether a connection is the link that was made for the access point."""
        record = self._engine.record()
        made = made_for(record.segments) if record else None
        return made is not None and guid == guid_of_name(made)

    def _find(self, guid: UUID) -> Connection:
        for one in self._host.connections():
            if one.guid == guid:
                return one
        raise GoneError(f"there is no connection {{{str(guid).upper()}}} any more")

    def _bring(self, designation: Designation, firewalls: Firewalls, unshared: Sequence[UUID] = ()) -> None:
        """Bring the roles into force; the mappings of *unshared* are disabled with that."""
        state = replace(self._store.load(), designation=designation, firewalls=firewalls)
        asked = wanted(state, self._host.connections(), self._settings, self._host.login)
        self._change(designation, firewalls, asked, silent, unshared)

    def _change(
        self,
        designation: Designation,
        firewalls: Firewalls,
        asked: Wanted,
        progress: Progress,
        unshared: Sequence[UUID] = (),
    ) -> Outcome | None:
        """Disable mappings, write the roles down, bring *asked* into force; put everything back when that fails.

        Nothing of it begins while something speaks against *asked*: a refusal closes no port and cuts no connection.
        """
        with self._store.lock():
            before = self._store.load()
            roles = before.designation, dict(before.firewalls)
            record = self._engine.record()
            public = record.sharing.public if record and record.sharing else None
            moves = public is not None and (asked.sharing is None or asked.sharing.public != public)
            disabled: list[int] = []

            def prepare() -> None:
                disabled.extend(
                    one.number for one in before.mappings.values() if one.enabled and one.connection in unshared
                )
                for guid in unshared:
                    self._mappings.disable_all(guid)
                self._write(before, designation, firewalls)
                if moves:  # mappings are of the connection that was public
                    self._mappings.withdraw()

            try:
                if asked == Wanted():
                    prepare()
                    self._engine.stop(progress)
                    outcome = None
                else:
                    outcome = self._engine.apply(asked, progress, prepare=prepare)
            except BaseException as error:  # cancellation must put back too
                back = [lambda: self._write(self._store.load(), *roles)]
                back += [partial(self._mappings.enable, number) for number in disabled]
                back += [self._mappings.sync] if moves else []
                _all_of(back, error)
                raise
            try:
                self._mappings.sync()
            except IcshareError as error:
                error.add_note("the rest is in force; icshare map list shows what is not")
                raise
            return outcome

    def _write(self, before: State, designation: Designation, firewalls: Firewalls) -> None:
        """Write down what of the roles differs from *before*, and where their connections were last seen."""
        facts: list[Fact] = []
        if designation != before.designation:
            facts.append(Designated(designation=designation))
        facts += [
            Protected(connection=guid, options=firewalls.get(guid))
            for guid in {**before.firewalls, **firewalls}
            if before.firewalls.get(guid) != firewalls.get(guid)
        ]
        if not facts:
            return
        mentioned = {designation.public, *designation.privates, *firewalls}
        facts += [
            Seen(connection=one.guid, interface=one.interface)
            for one in self._host.connections()
            if one.guid in mentioned and before.interfaces.get(one.guid) != one.interface
        ]
        self._store.append(*facts)


def _all_of(actions: Iterable[Callable[[], None]], error: BaseException) -> None:
    """Do all of *actions*; what fails becomes a note of *error*."""
    for action in actions:
        try:
            action()
        except IcshareError as failure:
            error.add_note(f"not put back: {failure}")


def _firewalls(state: State, guid: UUID, *, on: bool) -> Firewalls:
    """Return the firewalls of *state* with that of *guid* on, as it was set, or off."""
    firewalls = dict(state.firewalls)
    options = firewalls.pop(guid, FirewallOptions())
    return {**firewalls, guid: options} if on else firewalls


def _refuse(
    connection: Connection, part: str, verdict: Verdict, *, hint: str = "icshare list --all shows what each can be"
) -> None:
    if not verdict.ok:
        text = f"{connection.interface} cannot be a {part}: {verdict.text}"
        raise RefusedError([(str(verdict.reason), text)], hint=hint)
