"""Which fast path between the public connection and each private one, and why.

Rules of choice
---------------
* XDP goes past all that the kernel does between the driver and the network layer. So it is chosen only where nothing of
  that counts: both links' drivers run and send it, nobody else's program, filter or chain is on them, nobody shapes
  what leaves, no table of somebody else's sees what bridges forward. A bridge has to be ours, because only of it all
  ports are known; all of them have to be able to, because its stations may be behind any.
* From the other end of a veth, and from the guest behind a tap, come packets whose checksums are yet to be computed.
  XDP can only leave them to the kernel, which they reach slower than without it. These links get XDP only when that was
  asked for.
* tc comes after the kernel has made packets of its own, on the links that have the addresses, so it is there for
  everything that eBPF programs run on at all; but not where somebody else's filters or chains come after it.
* A flowtable is the kernel's own. It is chosen where eBPF cannot run.
* Where others' rulesets limit, queue or meter what is forwarded, every packet has to come past them: no fast path.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from icshare.errors import NotSupportedError, PrivilegeError, RefusedError
from icshare.model.fastpath import Abilities, LinkAbility, Mode, PairPath, Path
from icshare.model.link import Link
from icshare.model.names import InterfaceName
from icshare.model.sharing import Segment, Sharing
from icshare.model.snapshot import Snapshot
from icshare.plan.bypass import Obstacle, goes_past, links_below
from icshare.render.fastpath import Attachment, Hook, fast_path_configuration
from icshare.render.grants import FastPath

SETTINGS: tuple[Literal["tcp_be_liberal", "tcp_ignore_invalid_rst"], ...] = ("tcp_be_liberal", "tcp_ignore_invalid_rst")
"""Settings of connection tracking for programs of ours: it does not see every segment any more, and must neither call
the later ones invalid nor end a connection over a reset that it cannot judge."""

UNMETERED = "take that rule away, if nobody needs it"

_NAPI = "ethtool -K PEER gro on, for its other end PEER"
_VIRTUAL = {"veth": "a veth", "tun": "a tap"}
"""Links whose other end leaves checksums to others, by driver."""
_SWITCHED_OFF = "it is switched off"
_OFF_HINT = "share with --fast-path auto, which takes what there is"


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What was chosen.

    Attributes:
        pairs: The path of each pair; () when it is not known what the machine can do.
        rules: What the ruleset needs for it, None when nothing goes fast.
        programs: The configuration of our programs, "" without.
    """

    pairs: tuple[PairPath, ...] = ()
    rules: FastPath | None = None
    programs: str = ""

    @property
    def notes(self) -> Iterator[str]:
        """What people should know: what the kernel forwards alone though a fast path was wanted."""
        reasons: dict[str, list[str]] = {}
        for one in self.pairs:
            if one.path is Path.KERNEL and one.reason != _SWITCHED_OFF:
                reasons.setdefault(one.reason, []).append(one.private)
        for reason, privates in reasons.items():
            yield f"no fast path for {', '.join(privates)}: {reason}"


def links_of(public: Link, segments: Sequence[Segment], baseline: Snapshot) -> tuple[InterfaceName, ...]:
    """Return the links whose abilities have to be known, those below VLANs and bonds too."""
    names = [public.name, *(name for one in segments for name in (one.interface, *one.members))]
    return tuple(dict.fromkeys((*map(InterfaceName, names), *links_below(names, baseline))))


def choose(sharing: Sharing, segments: Sequence[Segment], baseline: Snapshot, abilities: Abilities | None) -> Choice:
    """Choose the path of each pair of *sharing*.

    Args:
        sharing: What is wanted.
        segments: Its segments.
        baseline: The host as it would be without us.
        abilities: What the machine can do, None when that is not known.

    Raises:
        RefusedError: Others' rules forbid the path that was asked for.
        NotSupportedError: The kernel lacks it.
        PrivilegeError: It is not known whether the machine can do what was asked for.
    """
    mode = sharing.fast_path
    if mode is Mode.OFF:
        return _kernel_alone(sharing, segments, "", "")
    if abilities is None:
        if mode is not Mode.AUTO:
            raise PrivilegeError(f"to tell whether {mode} can run here needs CAP_NET_ADMIN", hint="run it with sudo")
        return Choice()
    if abilities.metering:
        if mode is not Mode.AUTO:
            text = f"the fast path {mode} would go past what others count on: {abilities.metering}"
            raise RefusedError([("fast-path", text)], hint=_OFF_HINT)
        return _kernel_alone(sharing, segments, abilities.metering, UNMETERED)
    chooser = _Chooser(sharing=sharing, segments=segments, baseline=baseline, abilities=abilities)
    kernel = abilities.kernel
    if mode is Mode.FLOWTABLE or (mode is Mode.AUTO and not kernel.bpf):
        if not kernel.flowtable and mode is Mode.FLOWTABLE:
            raise NotSupportedError(f"this kernel has no flowtables: {kernel.why_not_flowtable}", hint=_OFF_HINT)
        if not kernel.flowtable:
            reason = f"{kernel.why_not_bpf}; nor has the kernel flowtables"
            return _kernel_alone(sharing, segments, reason, kernel.bpf_remedy)
        return chooser.flowtable()
    if not kernel.bpf:
        raise NotSupportedError(f"{mode} cannot run here: {kernel.why_not_bpf}", hint=_OFF_HINT)
    return chooser.programs()


def _kernel_alone(sharing: Sharing, segments: Sequence[Segment], reason: str, remedy: str) -> Choice:
    """Return that everything goes by the kernel alone; *reason* "" says that it was asked for."""
    pairs = tuple(
        PairPath(
            public=sharing.public,
            private=private,
            path=Path.KERNEL,
            reason=reason or _SWITCHED_OFF,
            remedy=remedy or ("" if reason else "share with --fast-path auto"),
        )
        for segment in segments
        for private in segment.members
    )
    return Choice(pairs=pairs)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Chooser:
    """Chooses where nothing speaks against a fast path as such."""

    sharing: Sharing
    segments: Sequence[Segment]
    baseline: Snapshot
    abilities: Abilities

    def flowtable(self) -> Choice:
        """Return the flowtable of everything that there is."""
        names = [self.sharing.public, *(name for one in self.segments for name in one.members)]
        links = [link for name in names if (link := self.baseline.link(name)) is not None]
        devices = tuple(dict.fromkeys(InterfaceName(self._below(link).name) for link in links))
        known = [self.abilities.link(name) for name in devices]
        offload = all(one is not None and one.hardware_flowtable for one in known)
        kernel = self.abilities.kernel
        how = "its hardware forwards" if offload else "forwarded by software"
        why = Obstacle(f"{kernel.why_not_bpf or 'it was asked for'}; {how}", kernel.bpf_remedy)
        pairs = [self._pair(private, Path.FLOWTABLE, why) for one in self.segments for private in one.members]
        rules = FastPath(links=self._links(self.segments), devices=devices, offload=offload)
        return Choice(pairs=tuple(pairs), rules=rules)

    def programs(self) -> Choice:
        """Return where our programs go: XDP where it can, tc elsewhere."""
        pairs: list[PairPath] = []
        xdp: list[Segment] = []
        tc: list[Segment] = []
        public = self._without_tc(self.sharing.public)
        for segment in self.segments:
            slower = self._without_xdp(segment)
            stops = public or self._without_tc(segment.interface)
            if slower is None:
                xdp.append(segment)
                path, why = Path.XDP, Obstacle(f"both links have XDP in their drivers{self._relies(segment)}")
            elif stops is None:
                tc.append(segment)
                path, why = Path.TC, slower
            else:
                path, why = Path.KERNEL, stops
            pairs += [self._pair(private, path, why) for private in segment.members]
        fast = [*xdp, *tc]
        if not fast:
            if self.sharing.fast_path is not Mode.AUTO:
                reasons = dict.fromkeys(one.reason for one in pairs)
                raise RefusedError([("fast-path", one) for one in reasons], hint=_OFF_HINT)
            return Choice(pairs=tuple(pairs))
        text = fast_path_configuration(
            tuple(self._attachments(xdp, tc)),
            [(network, one.interface) for one in fast for network in one.networks],
            [one.interface for one in tc] if xdp else (),
        )
        return Choice(pairs=tuple(pairs), rules=FastPath(links=self._links(fast)), programs=text)

    def _links(self, segments: Sequence[Segment]) -> tuple[InterfaceName, ...]:
        return (self.sharing.public, *(one.interface for one in segments))

    def _pair(self, private: InterfaceName, path: Path, why: Obstacle) -> PairPath:
        return PairPath(public=self.sharing.public, private=private, path=path, reason=why.text, remedy=why.remedy)

    def _below(self, link: Link) -> Link:
        """Return the link whose device carries the frames of *link*: the one below a VLAN."""
        lower = self.baseline.link_by_index(link.lower) if link.kind == "vlan" else None
        return lower or link

    def _attachments(self, xdp: Sequence[Segment], tc: Sequence[Segment]) -> Iterator[Attachment]:
        public = self.sharing.public
        if xdp:
            yield self._in_driver(public, public, public=True)
        for segment in xdp:
            for name in segment.members:
                yield self._in_driver(name, segment.interface, bridged=segment.bridged)
        if tc:
            yield Attachment(name=public, l3=public, hook=Hook.TC, public=True)
        for segment in tc:
            yield Attachment(name=segment.interface, l3=segment.interface, hook=Hook.TC)

    def _in_driver(
        self, name: InterfaceName, l3: InterfaceName, *, public: bool = False, bridged: bool = False
    ) -> Attachment:
        link = self.baseline.standing_link(name)
        lower = InterfaceName(self._below(link).name)
        return Attachment(name=lower, l3=l3, hook=Hook.XDP, public=public, vlan=link.vlan, bridged=bridged)

    def _without_xdp(self, segment: Segment) -> Obstacle | None:
        """Return why a segment gets no XDP, None when it does."""
        obstacle = self._before_xdp(segment)
        if self.sharing.fast_path is not Mode.TC:
            return obstacle
        if obstacle is None:
            return Obstacle("tc was asked for", "share with --fast-path auto")
        return Obstacle(f"tc was asked for, and there is no XDP: {obstacle.text}", obstacle.remedy)

    def _before_xdp(self, segment: Segment) -> Obstacle | None:
        """Return what stands in the way of XDP on a segment, None when nothing does."""
        if segment.bridged and self.abilities.bridging:
            return Obstacle(f"{self.abilities.bridging} sees what bridges forward, and XDP would go past it")
        public = self.sharing.public
        names = (public, *segment.members)
        obstacles = (self._obstacle(name, bridged=segment.bridged and name != public) for name in names)
        everywhere = dict.fromkeys((*names, segment.interface, *links_below(names, self.baseline)))
        passed = (self._passed(name, Hook.XDP) for name in everywhere)
        return next((one for one in (*obstacles, *passed) if one is not None), None)

    def _passed(self, name: InterfaceName, hook: Hook) -> Obstacle | None:
        """Return what a program at *hook* would go past on a link, None for nothing."""
        ability = self.abilities.link(name)
        found = next(goes_past(ability, hook, self.abilities.hooked), None) if ability is not None else None
        if found is None:
            return None
        past = "XDP" if hook is Hook.XDP else "the fast path"
        return Obstacle(f"{found.text}, which {past} would go past", found.remedy)

    def _relies(self, segment: Segment) -> str:
        """Return what XDP on *segment* relies on, and cannot be seen from here."""
        links = map(self.baseline.standing_link, (self.sharing.public, *segment.members))
        ends = " and of ".join(link.name for link in links if self._virtual(self._below(link)))
        return f"; only what the other end of {ends} computes checksums of (ethtool -K PEER tx off)" if ends else ""

    def _virtual(self, link: Link) -> str:
        """Return what sort of link it is whose other end leaves checksums to others, "" for none."""
        ability = self.abilities.link(link.name)
        return _VIRTUAL.get("veth" if link.kind == "veth" else ability.driver if ability is not None else "", "")

    def _obstacle(self, name: InterfaceName, *, bridged: bool) -> Obstacle | None:
        """Return what keeps a link from XDP, None when nothing does."""
        link = self.baseline.link(name)
        if link is None:
            return Obstacle(f"{name} is made with the sharing")
        if link.kind == "bridge":
            return Obstacle(f"{name} is a bridge that icshare did not make, with ports that may change")
        below = self._below(link)
        if link.kind == "vlan" and below is link:
            return Obstacle(f"{name} is a VLAN of a link that is not here")
        if link.kind == "vlan" and bridged:
            return Obstacle(f"{name} is a VLAN and the port of a bridge")
        ability = self.abilities.link(below.name)
        if ability is None:
            return Obstacle(f"{below.name} has gone")
        tagged = any(one.kind == "vlan" and one.lower == below.index for one in self.baseline.links)
        if tagged and ability.takes_vlan_tags:
            text = f"{below.name} takes VLAN tags off before XDP sees them"
            return Obstacle(text, f"ethtool -K {below.name} rxvlan off")
        return next(self._of_device(below, ability), None)

    def _of_device(self, link: Link, ability: LinkAbility) -> Iterator[Obstacle]:
        name = link.name
        if not ability.ethernet:
            yield Obstacle(f"{name} has no Ethernet header")
        if (virtual := self._virtual(link)) and self.sharing.fast_path is not Mode.XDP:
            yield Obstacle(f"{name} is {virtual}, by which packets come without checksums, too early for XDP")
        if not ability.native_xdp:
            yield Obstacle(f"{name}: {ability.why_not_native}", "take a network card whose driver has XDP")
        if not ability.sendable:
            remedy = _NAPI if ability.driver == "veth" else "take a network card whose driver sends for XDP"
            yield Obstacle(f"{name}: {ability.why_not_sendable}", remedy)

    def _without_tc(self, name: InterfaceName) -> Obstacle | None:
        """Return why a link gets no program of tc, None when it does; one that is made with the sharing does."""
        return self._passed(name, Hook.TC)
