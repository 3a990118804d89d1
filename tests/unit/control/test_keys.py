"""Which passphrase an access point gets, and what stays of it when its sharing comes to nothing."""

from dataclasses import dataclass, field

import pytest
from tests.unit.cli.machine import FakePassphrases

from icshare.control.keys import NOT_KEPT, Keys, Origin
from icshare.errors import ConflictError, GoneError, HostError, PrivilegeError
from icshare.model.names import interface_name
from icshare.model.wifi import AccessPoint, Passphrase, Ssid, passphrase

HOME, GUESTS = Ssid("home"), Ssid("guests")
ONE, TWO, NEW = passphrase("first one"), passphrase("second one"), passphrase("generated")


@dataclass
class World:
    """An access point or none, and the passphrases."""

    kept: FakePassphrases = field(default_factory=FakePassphrases)
    in_force: AccessPoint | None = None
    refusal: PrivilegeError | None = None

    @property
    def keys(self) -> Keys:
        return Keys(
            kept=self.kept, generate=lambda: NEW, in_force=lambda: self.in_force, require_admin=self._require_admin
        )

    def bring(self, name: Ssid, given: Passphrase | None = None) -> Origin:
        """Share, and return where the passphrase is from."""
        with self.keys.taken(name, given) as key:
            assert self.kept.find(key.secret) == key.passphrase
            assert self.kept.busy, "nobody else makes a sharing meanwhile"
            self.in_force = AccessPoint(interface=interface_name("wlan0"), ssid=name, secret=key.secret)
        return key.origin

    def _require_admin(self) -> None:
        if self.refusal is not None:
            raise self.refusal


@pytest.fixture
def world() -> World:
    return World()


def test_a_new_network_gets_a_new_passphrase_and_keeps_it(world: World) -> None:
    assert world.bring(HOME) is Origin.GENERATED
    assert world.keys.present()[1] == NEW
    assert world.bring(HOME) is Origin.STORED
    assert world.bring(GUESTS, TWO) is Origin.GIVEN
    assert world.bring(HOME) is Origin.STORED
    assert world.keys.present()[1] == NEW


def test_a_passphrase_that_is_given_takes_the_place_of_the_earlier_one(world: World) -> None:
    world.bring(HOME, ONE)
    world.bring(HOME, TWO)
    assert world.keys.present()[1] == TWO
    assert len(world.kept.kept) == 1


def test_the_same_passphrase_given_again_changes_nothing(world: World) -> None:
    world.bring(HOME, ONE)
    before = world.in_force
    assert world.bring(HOME, ONE) is Origin.STORED
    assert world.in_force == before


def test_what_comes_to_nothing_leaves_no_passphrase(world: World) -> None:
    world.bring(HOME, ONE)
    secret = world.keys.known(HOME)
    for name, given in ((GUESTS, None), (HOME, TWO), (HOME, None)):
        with pytest.raises(HostError), world.keys.taken(name, given):
            raise HostError("the radio burns")
    assert list(world.kept.kept) == [secret]


def test_a_passphrase_in_force_stays_when_something_fails_after(world: World) -> None:
    taken = world.keys.taken(HOME)
    key = taken.__enter__()
    world.in_force = AccessPoint(interface=interface_name("wlan0"), ssid=HOME, secret=key.secret)
    late = HostError("a mapping could not be made")
    assert not taken.__exit__(HostError, late, None)
    assert world.keys.present()[1] == NEW
    assert world.kept.settled == {key.secret}


def test_the_passphrase_in_force_counts_also_when_its_maker_was_killed(world: World) -> None:
    world.bring(HOME, ONE)
    secret = world.kept.keep(TWO, HOME)  # the one who kept it was killed before it was settled
    world.in_force = AccessPoint(interface=interface_name("wlan0"), ssid=HOME, secret=secret)
    assert world.keys.known(HOME) == secret
    world.bring(HOME)
    assert list(world.kept.kept) == [secret]


class Stuck(FakePassphrases):
    """Passphrases that no more can be taken away from."""

    def settle(self, secret: str) -> None:
        raise HostError("the disk is full" if secret in self.kept else "no such secret")

    forget = settle


def test_what_cannot_be_forgotten_is_a_note() -> None:
    world = World(kept=Stuck())
    with pytest.raises(ConflictError, match="taken") as failure, world.keys.taken(HOME):
        raise ConflictError("port 53 is taken")
    assert failure.value.__notes__ == ["a passphrase that nobody uses stays: the disk is full"]
    with pytest.raises(HostError, match="full") as late, world.keys.taken(HOME):
        pass
    assert "everything is in force" in late.value.__notes__[0]


def test_without_privilege_nothing_is_kept(world: World) -> None:
    world.refusal = PrivilegeError("CAP_NET_ADMIN is missing")
    with pytest.raises(PrivilegeError), world.keys.taken(HOME):
        pass
    assert world.kept.kept == {}


def test_a_plan_keeps_nothing_and_needs_no_privilege(world: World) -> None:
    assert world.keys.known(HOME) == NOT_KEPT
    world.bring(HOME, ONE)
    assert world.keys.known(HOME) == world.keys.known(HOME, ONE) != NOT_KEPT
    assert world.keys.known(HOME, TWO) == world.keys.known(GUESTS) == NOT_KEPT
    world.kept.failure = PrivilegeError("root only")
    assert world.keys.known(HOME) == NOT_KEPT


def test_without_access_point_there_is_nothing_to_show(world: World) -> None:
    with pytest.raises(GoneError):
        world.keys.present()
    world.bring(HOME, ONE)
    world.kept.kept.clear()
    with pytest.raises(ConflictError, match="the passphrase of 'home' is lost"):
        world.keys.present()
    assert world.bring(HOME) is Origin.GENERATED
