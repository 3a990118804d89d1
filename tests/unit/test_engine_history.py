"""Made-up histories: sharings, changes, failures, kills and drift in any order, and stop gives back the host."""

import contextlib
from dataclasses import replace
from ipaddress import IPv4Network

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from tests.hosts import settled, snapshot
from tests.mortal import KilledError, Life, mortal
from tests.scenarios import Machine

from icshare.errors import HostError, IcshareError
from icshare.model.firewall import Firewall, FirewallOptions
from icshare.model.sharing import Helper, Sharing, Wanted
from icshare.model.status import Check, Grade, Health
from icshare.plan.steps import RemoveAddress
from icshare.plan.transition import after
from icshare.testing import FakeHost, FakeJournal

HOST = snapshot(
    {
        "links": [
            {"name": "wan0"},
            {"name": "wwan0", "mtu": 1400},
            {"name": "lan0"},
            {"name": "lan1", "up": False},
            {"name": "lan2", "mtu": 9000},
            {"name": "tun0", "kind": "tun"},
            {"name": "tun1", "kind": "tun"},
            {"name": "virbr0", "kind": "bridge"},
        ],
        "addresses": [
            "wan0 198.51.100.2/24",
            "wwan0 203.0.113.9/24",
            "lan0 10.5.0.1/16",
            "lan0 10.5.0.2/16",
            "lan0 192.168.137.1/24",
            "lan2 192.168.137.1/25",
            "tun0 10.8.0.1/24",
        ],
        "routes": [
            "default via 198.51.100.1 dev wan0 proto dhcp metric 100",
            "default via 203.0.113.1 dev wwan0 proto dhcp metric 700",
            "10.9.0.0/16 via 10.5.0.254 dev lan0 proto static",
            "10.99.0.0/16 dev tun0 proto static",
        ],
        "sysctls": {"lan0/ipv4/forwarding": "1", "all/ipv4/rp_filter": "1"},
    }
)
PRIVATES = ["lan0", "lan1", "lan2", "tun0", "tun1", "virbr0"]
SOUND = Health()
ILL = Health(checks=(Check(name="dns", grade=Grade.FAILED, text="nobody answers"),))

sharings = st.builds(
    Sharing,
    public=st.sampled_from(["wan0", "wwan0"]),
    privates=st.lists(st.sampled_from(PRIVATES), min_size=1, max_size=4, unique=True).map(tuple),
    subnet=st.sampled_from([None, None, IPv4Network("10.20.0.0/24")]),
    helpers=st.sampled_from([(), (Helper.FTP,)]),
)
firewalls = st.lists(
    st.builds(
        Firewall,
        interface=st.sampled_from(["wan0", "wwan0"]),
        options=st.sampled_from([FirewallOptions(), FirewallOptions(log_dropped=True)]),
    ),
    max_size=2,
    unique_by=lambda one: one.interface,
).map(tuple)
requests = st.builds(Wanted, sharing=st.none() | sharings, firewalls=firewalls)


class History(RuleBasedStateMachine):
    """What can happen to one machine, one process after the other."""

    @initialize()
    def begin(self) -> None:
        self.machine = Machine(host=FakeHost(HOST), journal=FakeJournal())

    @rule(wanted=requests, seconds=st.integers(0, 100))
    def share(self, wanted: Wanted, seconds: int) -> None:
        now = self.machine.host.snapshot
        self.machine.host.snapshot = replace(now, boot_seconds=now.boot_seconds + seconds)
        self.machine.engine.apply(wanted)
        assert self.machine.engine.propose(wanted).changes == ()

    @rule(wanted=requests, number=st.integers(1, 40))
    def fail(self, wanted: Wanted, number: int) -> None:
        host = self.machine.host
        before, record = host.snapshot, self.machine.journal.record
        sound = record is None or record.complete  # a rollback leads to what is on record, and drift is no part of that
        drifted = bool(record and record.complete and self.machine.engine.propose(record.wanted).changes)
        host.fail_at = len(host.ran) + number
        try:
            self.machine.engine.apply(wanted)
        except HostError:
            if sound and not drifted:
                assert settled(host.snapshot) == settled(before)
        finally:
            host.fail_at = 0

    @rule(wanted=requests)
    def find_it_ill(self, wanted: Wanted) -> None:
        self.machine.host.health = ILL
        try:
            self.machine.engine.apply(wanted)
        except IcshareError:
            pass
        else:
            raise AssertionError("an ill sharing was a success")
        finally:
            self.machine.host.health = SOUND

    @rule(wanted=requests, actions=st.integers(0, 80), ill=st.booleans())
    def die_while_sharing(self, wanted: Wanted, actions: int, ill: bool) -> None:
        self.machine.host.health = ILL if ill else SOUND
        try:
            mortal(self.machine, Life(actions)).apply(wanted)
        except (KilledError, IcshareError):
            pass
        finally:
            self.machine.host.health = SOUND

    @rule(actions=st.integers(0, 40))
    def die_while_stopping(self, actions: int) -> None:
        with contextlib.suppress(KilledError):
            mortal(self.machine, Life(actions)).stop()

    @rule(data=st.data())
    def drift(self, data: st.DataObject) -> None:
        record = self.machine.journal.record
        # An address that somebody else gives back comes in their order, not in that of before.
        entries = [entry for entry in record.entries if not isinstance(entry.step, RemoveAddress)] if record else []
        if entries:
            entry = data.draw(st.sampled_from(entries))
            self.machine.host.snapshot = after(self.machine.host.snapshot, entry.step.inverse())

    @rule()
    def stop(self) -> None:
        self.machine.engine.stop()
        self._untouched()
        assert self.machine.journal.record is None

    @invariant()
    def nobody_holds_the_lock(self) -> None:
        assert not self.machine.journal.locked

    def teardown(self) -> None:
        self.machine.engine.stop()
        self._untouched()

    def _untouched(self) -> None:
        now = replace(self.machine.host.snapshot, boot_seconds=HOST.boot_seconds)
        assert settled(now) == settled(HOST)


TestHistory = History.TestCase
TestHistory.settings = settings(max_examples=150, stateful_step_count=12, deadline=None)
