"""What pppd can dial: the files of ``/etc/ppp/peers``.

Source:
    pppd(8), ``call`` and "Files".
"""

import re
from dataclasses import dataclass
from typing import NewType

from icshare.errors import InvalidRequestError
from icshare.model.link import PppFacts

PeerName = NewType("PeerName", str)

AUTHENTICATION_FAILED = 19
"""Exit status of a pppd that the other end did not let in.

Source:
    pppd(8), "Exit status".
"""

_PEER_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,62}")
_LEFT_OVER = re.compile(r".*(\.bak|\.old|\.orig|\.rej|\.save|\.rpmsave|\.rpmnew|\.dpkg-[a-z]+|\.ucf-[a-z]+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """One peer.

    Attributes:
        name: Its name: that of its file.
        facts: How a link of it comes about.
        interface: Interface name that its options want, "" if they leave that to us.
        readable: We could read its options.
        persists: pppd goes on trying when it is refused (``persist``), so its exit tells nothing in time.
        filters: Its options say which traffic counts (``active-filter``).
        dialling: A pppd is at it, and has brought about no link yet.
        failure: Exit status that says why it could not be dialled the last time, None if it could, or was not.
        why: The same in words, "" if it did not fail.
    """

    name: PeerName
    facts: PppFacts
    interface: str = ""
    readable: bool = True
    persists: bool = False
    filters: bool = False
    dialling: bool = False
    failure: int | None = None
    why: str = ""


def peer_name(text: str) -> PeerName:
    """Parse *text* as the name of a peer: safe as a word of pppd and as a part of a path.

    Narrower than pppd, which takes any path below the directory that has no ``..`` in it.

    Raises:
        InvalidRequestError: Empty, longer than 63 characters, or with one outside of letters, digits, ``._-``.
    """
    if not is_peer_name(text):
        raise InvalidRequestError(
            f"{text!r:.80} is not the name of a pppd peer",
            hint="1 to 63 of A-Z a-z 0-9 _ . -, without a leading . or -",
        )
    return PeerName(text)


def is_peer_name(text: str) -> bool:
    """Tell whether *text* is a name that `peer_name` takes."""
    return bool(_PEER_NAME.fullmatch(text)) and ".." not in text


def is_left_over(name: str) -> bool:
    """Tell whether an editor or the package manager has left the file *name* behind."""
    return bool(_LEFT_OVER.fullmatch(name))
