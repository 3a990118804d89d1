"""The access point that ``icshare share`` is asked for, and what is said about one."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from icshare.cli.output import Cell, Printer
from icshare.cli.session import Session
from icshare.errors import InvalidRequestError

if TYPE_CHECKING:
    from icshare.control.keys import Key
    from icshare.model.names import InterfaceName
    from icshare.model.wifi import AccessPoint, Band, Country, Passphrase, Ssid

_STANDARD_INPUT = "-"
_MAX_CHANNEL = 233


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options of an access point as they are on the command line; None and False where they are not."""

    ssid: str | None
    passphrase_file: str | None
    band: str | None
    channel: str | None
    hidden: bool
    isolate: bool
    country: str | None

    def others(self) -> list[str]:
        """Return the names of those that are given beside ``--ssid``."""
        given = {
            "--passphrase-file": self.passphrase_file is not None,
            "--band": self.band is not None,
            "--channel": self.channel is not None,
            "--hidden": self.hidden,
            "--isolate": self.isolate,
            "--country": self.country is not None,
        }
        return [name for name, is_given in given.items() if is_given]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """An access point that is asked for.

    Attributes:
        interface: The Wi-Fi connection.
        given: Its passphrase, None if none was given.
        notes: What people should know of the request.
    """

    interface: "InterfaceName"
    ssid: "Ssid"
    given: "Passphrase | None"
    band: "Band | None"
    channel: int | None
    hidden: bool
    isolated: bool
    country: "Country | None"
    notes: tuple[str, ...]

    def access_point(self, secret: str) -> "AccessPoint":
        """Return the access point with the passphrase that *secret* names."""
        from icshare.model.wifi import AccessPoint

        return AccessPoint(
            interface=self.interface,
            ssid=self.ssid,
            secret=secret,
            band=self.band,
            channel=self.channel,
            hidden=self.hidden,
            isolated=self.isolated,
            country=self.country,
        )


def parse(session: Session, public: str, privates: Sequence[str], options: Options) -> Request | None:
    """Return the access point that is asked for, None without one.

    Raises:
        InvalidRequestError: An option has no meaning, or none of the connections can be it.
    """
    if options.ssid is None:
        if others := options.others():
            is_are = "is" if len(others) == 1 else "are"
            raise InvalidRequestError(f"{', '.join(others)} {is_are} for an access point, which --ssid NAME asks for")
        return None
    from icshare.model.wifi import country, ssid
    from icshare.plan.radiochoice import choose_radio

    name = ssid(options.ssid)
    band = None if options.band is None else _band(options.band)
    channel = None if options.channel is None else _channel(options.channel)
    place = None if options.country is None else country(options.country)
    given, notes = _given(session, options.passphrase_file)
    return Request(
        interface=choose_radio(public, privates, session.manager.connections()),
        ssid=name,
        given=given,
        band=band,
        channel=channel,
        hidden=options.hidden,
        isolated=options.isolate,
        country=place,
        notes=notes,
    )


@contextmanager
def key_of(session: Session, request: Request | None) -> "Iterator[Key | None]":
    """Give the passphrase of what is asked for, while it is made; None without an access point."""
    if request is None:
        yield None
        return
    with session.manager.keys.taken(request.ssid, request.given) as key:
        yield key


def print_passphrase(out: Printer, access_point: "AccessPoint", passphrase: "Passphrase", security: str) -> None:
    """Print how to join an access point: as text, and as a code for phones."""
    from icshare.cli.qr import print_qr
    from icshare.render.joincode import join_code

    out.fields([("network", access_point.ssid), ("passphrase", passphrase.reveal()), ("security", security)])
    out.line()
    print_qr(out, join_code(access_point.ssid, passphrase, hidden=access_point.hidden))


def print_key(out: Printer, access_point: "AccessPoint", key: "Key", security: str) -> None:
    """Print the passphrase if nobody knows it yet, and how it can be seen again."""
    from icshare.control.keys import Origin

    out.line()
    if key.origin is Origin.GENERATED:
        out.line(Cell("A new passphrase was made:", "bold"))
        print_passphrase(out, access_point, key.passphrase, security)
        out.line()
        out.line("To see it again: ", Cell("icshare wifi show", "bold"))
    else:
        out.line("The passphrase and its QR code: ", Cell("icshare wifi show", "bold"))


def _band(text: str) -> "Band":
    from icshare.model.wifi import Band

    try:
        return Band(text)
    except ValueError as error:
        raise InvalidRequestError(f"{text!r:.20} is no band: 2.4, 5 or 6 (GHz)") from error


def _channel(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 3 and 1 <= int(text) <= _MAX_CHANNEL):
        raise InvalidRequestError(f"{text!r:.20} is no channel: 1 to {_MAX_CHANNEL}")
    return int(text)


def _given(session: Session, path: str | None) -> "tuple[Passphrase | None, tuple[str, ...]]":
    """Return the passphrase in a file or on standard input, and what people should know of it."""
    if path is None:
        return None, ()
    from icshare.host.passphrases import read_passphrase, read_passphrase_file

    if path == _STANDARD_INPUT:
        return read_passphrase(session.stdin, "standard input"), ()
    given, is_open = read_passphrase_file(Path(path))
    return given, (f"everybody on this machine can read {path}, and the passphrase in it",) if is_open else ()
