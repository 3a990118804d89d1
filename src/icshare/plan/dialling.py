"""How pppd is told to dial, and what its end means.

What we have dialled is recognised by the argument vector of its pppd, also after a crash: ``linkname`` says on whose
behalf. Everything that we say stands behind ``call`` and overrules what the peer's file says of the same.

Source:
    pppd(8), "Options" and "Exit status".
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from icshare.model.names import InterfaceName
from icshare.model.peer import AUTHENTICATION_FAILED, Peer, PeerName, is_peer_name
from icshare.plan.dialup import option_values


class Behalf(StrEnum):
    """On whose behalf we have dialled."""

    USER = "icshare-user"
    """Somebody asked for the connection, and hangs up again."""

    SHARING = "icshare-shared"
    """A sharing needs it, and hangs up when it ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OnDemand:
    """Dial when there is traffic.

    Attributes:
        idle_seconds: Hang up after so many seconds without any; 0 never does.
    """

    idle_seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What the argument vector of a pppd says.

    Attributes:
        peer: Whom it dials.
        behalf: On whose behalf; None when it was not we who started it.
        interface: Interface that it was told to make, "" for none.
        on_demand: We told it to dial when there is traffic.
    """

    peer: PeerName
    behalf: Behalf | None
    interface: str
    on_demand: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why a peer could not be dialled.

    Attributes:
        text: The reason.
        hint: What can be done, "" when nothing is known.
        final: Trying again does not help, though pppd may be told to try for ever.
        status: Exit status that means it, also of a pppd that goes on trying.
    """

    text: str
    hint: str = ""
    final: bool = True
    status: int = 1


def command_line(
    peer: Peer, interface: InterfaceName, behalf: Behalf, on_demand: OnDemand | None = None
) -> tuple[str, ...]:
    """Return the argument vector that dials *peer*.

    Args:
        peer: Whom.
        interface: What the interface is to be called.
        behalf: On whose behalf.
        on_demand: Make the interface now and dial when there is traffic; None dials now.

    IPv6 is left out on demand: pppd wants both link-local addresses then before they are known. Answers do not keep a
    line open, and nor does what knocks from outside: only what leaves counts, unless the peer's file knows better.
    """
    words = ["pppd", "call", peer.name, "ifname", interface, "linkname", f"{behalf}-{peer.name}"]
    if on_demand is None:
        return (*words, "updetach")
    words += ["nodetach", "demand", "noipv6"]
    if on_demand.idle_seconds:
        words += ["idle", str(on_demand.idle_seconds)]
    if not peer.filters:
        words += ["active-filter", "outbound"]
    return tuple(words)


def call_of(argv: Sequence[str]) -> Call | None:
    """Return what the argument vector of a process says if that is a pppd that dials a peer."""
    if not argv or argv[0].rpartition("/")[2] != "pppd":
        return None
    values = option_values(argv[1:])
    peer = values.get("call", "")
    if not is_peer_name(peer):
        return None
    link = values.get("linkname", "")
    behalf = next((one for one in Behalf if link == f"{one}-{peer}"), None)
    return Call(peer=PeerName(peer), behalf=behalf, interface=values.get("ifname", ""), on_demand="demand" in values)


def pid_files(call: Call) -> Iterator[str]:
    """Yield the names, below ``/run``, of the pid files that a pppd of ours makes and removes."""
    if call.behalf is not None:
        yield f"ppp-{call.behalf}-{call.peer}.pid"
        yield f"{call.interface}.pid"


_REFUSED = Failure(
    text="the other end refuses name or password",
    hint="look at user and /etc/ppp/*-secrets",
    status=AUTHENTICATION_FAILED,
)
_BY_WORDS: Sequence[tuple[str, Failure]] = (
    (
        "Timeout waiting for PADO",
        Failure(
            text="no PPPoE server answers",
            hint="look at the cable, the modem and the interface that its file names",
            final=False,
        ),
    ),
    ("PADO: Service-Name-Error", Failure(text="the PPPoE server refuses the service that was asked for")),
    ("PADS: Service-Name-Error", Failure(text="the PPPoE server refuses the service that was asked for")),
    ("AC-System-Error", Failure(text="the PPPoE server refuses: it reports an error of its own", final=False)),
    ("Timeout waiting for PADS", Failure(text="the PPPoE server has offered and does not confirm", final=False)),
    (
        "unrecognized option 'nic-",
        Failure(text="the interface that its file names is not there", hint="plug it in, or mend its file"),
    ),
    (
        "Network is down",
        Failure(text="the interface below it is down or gone", hint="plug the cable in, and bring the interface up"),
    ),
    (
        "No such device",
        Failure(text="the interface or line that its file names is not there", hint="plug it in, or mend its file"),
    ),
    (
        "peer authentication failed",
        Failure(text="the other end has not proved who it is", hint="add noauth to its file if it need not"),
    ),
    (
        "authentication failed",
        _REFUSED,
    ),
    (
        "Failed to authenticate ourselves",
        _REFUSED,
    ),
    ("open the /dev/ppp device", Failure(text="the kernel has no PPP", hint="modprobe ppp_generic")),
    ("does not support PPPoE", Failure(text="the kernel has no PPPoE", hint="modprobe pppoe")),
    ("lacks kernel support", Failure(text="the kernel has no PPP", hint="modprobe ppp_generic")),
    ("Connect script failed", Failure(text="nobody answers the call: its connect script failed", final=False)),
)
"""What pppd says, the first that it said counting, and what that means."""

_BY_STATUS = {
    2: "pppd refuses an option",
    3: "pppd has to be root",
    4: "the kernel lacks what it takes",
    5: "it was hung up while it was dialling",
    6: "the line is used by somebody else",
    7: "the line cannot be opened",
    8: "nobody answers the call: its connect script or discovery failed",
    9: "the command that stands for its line cannot be run",
    10: "the two ends found no terms: one wants what the other does not",
    11: "the other end has not proved who it is",
    12: "it was hung up because it was idle",
    13: "its time was up",
    14: "it is to be called back, and hangs up until then",
    15: "the other end answers no more",
    16: "the line was cut: the modem hung up",
    17: "its line leads back to this machine",
    18: "its init script failed",
}
_HINTS = {11: "add noauth to its file if it need not"}
_OPTION = 2


def failure_said(output: str) -> Failure | None:
    """Return the failure that pppd has told of so far, None for none."""
    for line in output.splitlines():
        for words, failure in _BY_WORDS:
            if words in line:
                return failure
    return None


def failure(status: int | None, output: str) -> Failure:
    """Return why pppd could not dial.

    Args:
        status: Its exit status, -N for signal N; None when our patience ended it.
        output: What it has said.
    """
    said = failure_said(output)
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    if said is not None:
        return said
    if status == AUTHENTICATION_FAILED:
        return _REFUSED
    if status == _OPTION:
        own = next((line.removeprefix("pppd: ") for line in lines if line.startswith("pppd: ")), "")
        return Failure(text=f"pppd refuses its options{f': {own}' if own else ''}")
    text = "it did not come about in time" if status is None else _BY_STATUS.get(status, "")
    last = f": {lines[-1]}" if lines and not text else ""
    return Failure(text=text or f"pppd ended with status {status}{last}", hint=_HINTS.get(status or 0, ""))
