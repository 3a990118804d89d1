"""Links of every kind that this kernel can make are recognised where they live, and their roles with them.

`tests.vm.kinds` has the table and makes the links; `tests/data/links` has recordings of the same kinds, for machines
that cannot make them.
"""

import os
import pickle
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest
from tests.vm import hardware, kernelcalls, kinds
from tests.vm.kinds import FIRST, KINDS, Kind, Made
from tests.vm.nodes import Node

from icshare.host import command, links
from icshare.lab import Lab
from icshare.model.connection import Characteristics, Connection
from icshare.model.link import Link
from icshare.plan.connections import connections

T = TypeVar("T")

_COMMON = Characteristics.ALL_USERS | Characteristics.ALLOW_RENAME


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What icshare sees in one namespace, by the links' names."""

    connections: dict[str, Connection]
    links: dict[str, Link]


@dataclass(frozen=True, slots=True, kw_only=True)
class Views:
    """What it sees with ``/sys`` of the namespace it is in, and with that of another."""

    own: dict[str, View]
    foreign: dict[str, View]


@pytest.fixture(scope="module")
def made(internet: Lab) -> Iterator[Made]:  # noqa: ARG001
    """Give the namespaces with all the links.

    The lab of the other tests is made before: links of it have numbers of their own choice, which the tunnels' modules
    take in the first namespace for good.
    """
    with kinds.made() as both:
        yield both


@pytest.fixture(scope="module")
def views(made: Made) -> Views:
    """Give what icshare sees of them."""
    places = {"kinds": made.kinds, FIRST: None}
    own = {place: look(node, sysfs_of=node) for place, node in places.items()}
    return Views(own=own, foreign={"kinds": look(made.kinds, sysfs_of=None), FIRST: look(None, sysfs_of=made.kinds)})


def look(node: Node | None, *, sysfs_of: Node | None) -> View:
    """Return what icshare sees in the network of a node; None stands for the machine's first namespace."""

    def child() -> View:
        kernelcalls.unshare(kernelcalls.CLONE_NEWNS)
        kernelcalls.mount("", "/", flags=kernelcalls.MS_REC | kernelcalls.MS_SLAVE)
        if sysfs_of is not None:  # that of the first namespace is there already
            _in_network(sysfs_of, lambda: kernelcalls.mount("sysfs", "/sys", "sysfs"))
        return _in_network(node, _view)

    return _in_child(child)


def _view() -> View:
    seen = links.look(Path("/run/icshare"))
    found = connections(seen.links, seen.addresses, seen.routes)
    return View(
        connections={one.interface: one for one in found if one.there},  # peers that were not dialled are none of ours
        links={one.name: one for one in seen.links},
    )


def _in_network(node: Node | None, function: Callable[[], T]) -> T:
    if node is None:
        return function()
    with node.network():
        return function()


def _in_child(function: Callable[[], T]) -> T:
    """Return what *function* returns in a child of this process, which may change what it likes."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            answer = pickle.dumps(function())
        except BaseException as error:  # noqa: BLE001 - the child must not go on as a second pytest
            answer = pickle.dumps(error)
        with os.fdopen(write, "wb") as pipe:
            pipe.write(answer)
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        answer = pipe.read()
    os.waitpid(pid, 0)
    found: T | BaseException = pickle.loads(answer)  # our own child's
    if isinstance(found, BaseException):
        raise found
    return found


def summary(one: Connection) -> dict[str, Any]:
    return {
        "label": one.kind,
        "media": one.media.name,
        "status": one.status.name,
        "flags": one.characteristics,
        "sharable": one.sharable.reason,
        "public": one.as_public.reason,
        "private": one.as_private.reason,
        "bridge": one.bridgeable,
        "hidden": one.hidden,
    }


def expected(kind: Kind) -> dict[str, Any]:
    flags = _COMMON if kind.link != "lo" else Characteristics.ALL_USERS
    for name in (*kind.flags, *(() if kind.private else ("HOMENET_CAPABLE",))):
        flags |= Characteristics[name]
    return {
        "label": kind.label,
        "media": kind.media,
        "status": kind.status,
        "flags": flags,
        "sharable": next((one for one in (kind.public,) if one in {"media-type", "incoming-only"}), None),
        "public": kind.public or None,
        "private": kind.private or None,
        "bridge": kind.bridge,
        "hidden": kind.hidden,
    }


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.link)
def test_a_link_is_recognised(kind: Kind, views: Views) -> None:
    assert summary(views.own[kind.where].connections[kind.link]) == expected(kind)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.link)
def test_a_link_is_recognised_by_who_sees_the_sysfs_of_another_namespace(kind: Kind, views: Views) -> None:
    """``/sys`` shows the namespace of who mounted it. Status and label must not depend on it, nor the identity."""
    own, foreign = (view[kind.where].connections[kind.link] for view in (views.own, views.foreign))
    assert summary(foreign) == expected(kind)
    assert foreign.guid == own.guid


def test_there_is_no_link_that_the_table_does_not_know(made: Made, views: Views) -> None:
    """But those that stand below or beside one of it."""
    beside = {"pair10", "pair11", "pair12", "dsl", "subscribers", "spare5", "spare6", "nap-bridge", "hwsim0", "wpan1"}
    known = {one.link for one in KINDS} | beside | made.strange
    assert {name for view in views.own.values() for name in view.connections} - known == set()


def test_a_bridge_takes_what_is_called_bridgeable_and_nothing_else(made: Made, views: Views) -> None:
    """The kernel is asked. What is nobody's connection, or a port already, is left out."""
    links_now = views.own["kinds"].links
    asked = [
        one
        for one in KINDS
        if one.where == "kinds" and one.media not in {"NONE", "BRIDGE"} and links_now[one.link].master is None
    ]
    made.kinds.ip("link", "add", "try7", "type", "bridge")
    kinds.batch(made.kinds, *(f"link set {one.link} master try7" for one in asked), check=False)
    seen = look(made.kinds, sysfs_of=made.kinds).links
    made.kinds.ip("link", "delete", "try7")
    taken = {one.link for one in asked if seen[one.link].master == seen["try7"].index}
    assert taken == {one.link for one in asked if one.bridge}
    assert len(taken) > 25


def test_list_shows_all_but_the_hidden_ones(made: Made, warm: None) -> None:  # noqa: ARG001
    shown = {one["interface"]: one for one in made.kinds.document("list")["connections"]}
    wanted = {one.link: one for one in KINDS if one.where == "kinds" and not one.hidden}
    assert wanted.keys() <= shown.keys()
    assert {name: shown[name]["media"] for name in wanted} == {name: one.media.lower() for name, one in wanted.items()}
    assert not shown.keys() & {one.link for one in KINDS if one.hidden}


def test_a_tunnel_made_anew_is_the_same_connection(made: Made, views: Views) -> None:
    """It was another: the kernel gives every IPv6 tunnel a new permanent address."""
    before = views.own["kinds"].connections["ip6tnl7"]
    again = "link add ip6tnl7 type ip6tnl local 2001:db8::1 remote 2001:db8::2"
    kinds.batch(made.kinds, "link delete ip6tnl7", again, "link set ip6tnl7 up")
    assert look(made.kinds, sysfs_of=made.kinds).connections["ip6tnl7"] == before


def test_no_two_links_are_one_connection(views: Views) -> None:
    for view in views.own.values():
        assert len({one.guid for one in view.connections.values()}) == len(view.connections)


def test_the_port_of_an_emulated_machine_is_told_by_its_emulator(made: Made) -> None:
    """The real one: a machine without a processor, that waits."""
    machine = ("qemu-system-x86_64", "-M", "none", "-nodefaults", "-display", "none", "-S")
    port = "tap,id=port,ifname=machine7,script=no,downscript=no"
    made.kinds.start(*machine, "-netdev", port)
    hardware.wait_for(lambda: "machine7" in made.kinds.ip("link"), "the machine has its port")
    seen = look(made.kinds, sysfs_of=made.kinds).connections["machine7"]
    assert (seen.kind, seen.media.name, seen.bridgeable) == ("virtual machine's port (tap)", "LAN", True)


def test_links_with_a_device_keep_their_identity_over_a_rename(made: Made, views: Views) -> None:
    """The last but one: a link has to be down to be renamed, and a station that was down is out of its network."""
    names = ("station", "station2", "ap", "rndis-host", "ncm-host", "ecm-host", "rndis-gadget", "panu")
    kinds.batch(made.kinds, *(f"link set {name} {what}" for name in names for what in ("down", f"name x-{name}")))
    try:
        after = look(made.kinds, sysfs_of=made.kinds).connections
    finally:
        kinds.batch(made.kinds, *(f"link set x-{name} name {name}" for name in names))
    before = views.own["kinds"].connections
    assert {name: after[f"x-{name}"].guid for name in names} == {name: before[name].guid for name in names}
    assert {name: after[f"x-{name}"].kind for name in names} == {name: before[name].kind for name in names}


def test_programs_are_still_there(made: Made) -> None:
    """What was seen was seen of living links."""
    assert command.run(["ip", "-n", made.far.name, "link", "show", "fppp-caller"]).returncode == 0
