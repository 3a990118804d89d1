"""Our hostapd: started, found again by any later process, stopped.

As with dnsmasq (`service`), the configuration file's name carries what it is the configuration of, and its link, and
stands in the process's own argument list. The file holds the passphrase, so only root may read it, and it is written by
nobody but `AccessPointService.start`: what is planned and put on record has no passphrase in it.

A hostapd whose link has been deleted stays, and serves nobody, also when there is a link of that name again. So what
counts is that its link serves; else it is started anew.

hostapd goes into the background before it serves: it may have to wait for the kernel first. So its control socket is
asked, which also tells when there is news.
"""

import os
import re
import select
import socket
import time
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Final, Protocol

from icshare.errors import ConflictError, HostError, IcshareError, NotSupportedError
from icshare.host import command
from icshare.host.lockdir import denied
from icshare.host.processes import Process, find_processes, owner, shares_our_network, terminate
from icshare.model.names import InterfaceName
from icshare.model.wifi import Passphrase
from icshare.plan.steps import StartAccessPoint

_START_SECONDS: Final = 30.0
_STOP_SECONDS: Final = 5.0
_CONTROL_BYTES: Final = 8192

_ARGUMENTS: Final = 7
"""How many our hostapd has; see `AccessPointService.start`."""

_ENABLED: Final = re.compile(r"^<\d>AP-ENABLED|^state=ENABLED$", re.MULTILINE)
_DISABLED: Final = re.compile(r"^<\d>(AP-DISABLED|INTERFACE-DISABLED|AP-TERMINATING)|^state=DISABLED$", re.MULTILINE)

_REASONS: Final = (
    (r"rfkill|RF-kill", "its radio is switched off", "rfkill unblock wifi, or the switch for Wi-Fi of this machine"),
    (
        (
            r"not allowed for AP mode|Hardware does not support configured channel|Configured channel .* not found"
            r"|Could not determine operating frequency|DFS .* not allowed"
        ),
        "its radio does not take the channel",
        "choose another with --channel, or say by --country where it is",
    ),
    (
        r"(?:set|select) (?:the )?channel|Failed to set beacon|Failed to start AP|Could not set up an access point",
        "the driver does not serve on that channel beside what its radio does already",
        "icshare list shows what else is on the radio; disconnect it, or leave --channel away",
    ),
    (r"country", "the country could not be set", "apt install wireless-regdb"),
    (r"flags \(UP\): No such file or directory", "the firmware of its radio is missing", "dmesg names the file"),
    (
        r"Could not configure driver mode|not support (?:AP|interface) mode|Failed to set interface .* to mode",
        "the driver makes no access point of this link",
        None,
    ),
    (
        r"invalid key_mgmt|unknown configuration item",
        "this hostapd is too old, or was built without WPA3 (SAE)",
        "hostapd 2.10, as in Debian 12, will do",
    ),
)


class Passphrases(Protocol):
    """Where passphrases are kept."""

    def find(self, secret: str) -> Passphrase | None:
        """Return the passphrase that *secret* names, None when it is not kept.

        Raises:
            IcshareError: What is kept could not be read.
        """
        ...


class NoPassphrases:
    """Keeps nothing."""

    def find(self, secret: str) -> Passphrase | None:  # noqa: ARG002 (the protocol's signature)
        """Return None."""
        return None


class AccessPointService:
    """The hostapd of one run directory."""

    def __init__(self, directory: Path, passphrases: Passphrases) -> None:
        """Take the places; nothing is read or made yet."""
        self._directory = directory
        self._passphrases = passphrases
        self._prefix = str(directory / "hostapd-")
        self._control = directory / "hostapd"
        self._pid = directory / "hostapd.pid"
        self._log = directory / "hostapd.log"

    def running(self, serving: AbstractSet[str]) -> str | None:
        """Return what it runs with (`StartAccessPoint.version`), None when it does not run, or does not serve.

        Args:
            serving: The links that are access points and on a channel.
        """
        found = (self._served(process) for process in self.processes())
        return next((version for link, version in found if link in serving), None)

    def processes(self) -> tuple[Process, ...]:
        """Return the processes of our hostapd: anybody may give arguments like its own to a program of theirs."""
        return tuple(
            process
            for process in find_processes(self._is_ours)
            if owner(process.pid) in {0, os.geteuid()} and shares_our_network(process.pid)
        )

    def _is_ours(self, argv: Sequence[str]) -> bool:
        return (
            len(argv) == _ARGUMENTS
            and Path(argv[0]).name == "hostapd"
            and argv[1] == "-B"
            and argv[-1].startswith(self._prefix)
        )

    def check(self, step: StartAccessPoint) -> None:
        """Check that hostapd is there, if it is needed, and that the passphrase is known, before anything is changed.

        Raises:
            NotSupportedError: hostapd is not installed.
            ConflictError: The passphrase is not kept here.
        """
        if not step.networkmanager:
            command.find_program("hostapd")
        self._passphrase(step.secret)

    def start(self, step: StartAccessPoint) -> None:
        """Serve as *step* says, in place of what is served now; clients can join when this returns.

        Raises:
            HostError: It does not start, or its files cannot be written; the message has the reason.
            NotSupportedError: hostapd is not installed, or cannot do what it has to.
            ConflictError: The passphrase is not kept here.
        """
        path = self._directory / f"hostapd-{step.link}-{step.version}.conf"
        passphrase = self._passphrase(step.secret)
        self._end()
        self._write(path, self._whole(step.text, passphrase))
        self._write(self._log, "")
        try:
            argv = ["hostapd", "-B", "-P", str(self._pid), "-f", str(self._log), str(path)]
            command.run(argv, timeout=_START_SECONDS)
            self._await_enabled(step.link)
        except IcshareError as error:
            said = self._said() + (error.output if isinstance(error, command.CommandError) else "")
            self._end()
            if isinstance(error, NotSupportedError):
                raise
            raise refusal(step.link, said, error) from error
        self._log.unlink(missing_ok=True)

    def stop(self) -> None:
        """Stop serving and remove what was written for it."""
        self._end()

    def _passphrase(self, secret: str) -> Passphrase:
        found = self._passphrases.find(secret)
        if found is None:
            raise ConflictError(
                "the passphrase of the access point is not kept on this machine any more",
                hint="share again with --ssid and --passphrase-file",
            )
        return found

    def _whole(self, text: str, passphrase: Passphrase) -> str:
        return (
            f"{text}\n# for icshare\nctrl_interface={self._control}\nctrl_interface_group={os.getegid()}\n"
            f"wpa_passphrase={passphrase.reveal()}\n"
        )

    def _write(self, path: Path, text: str) -> None:
        try:
            path.unlink(missing_ok=True)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
        except OSError as error:
            raise denied(error, path, "written") from error

    def _await_enabled(self, link: InterfaceName) -> None:
        """Wait until hostapd says that the access point is up.

        Raises:
            HostError: It says that it is not, or says nothing in time.
        """
        deadline = time.monotonic() + _START_SECONDS
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as control:
                control.bind("")  # a name of the kernel's choice, in this network namespace, so hostapd can answer
                control.connect(str(self._control / link))
                control.send(b"ATTACH")
                control.send(b"STATUS")
                for said in _messages(control, deadline):
                    if _ENABLED.search(said):
                        control.send(b"LOG_LEVEL ERROR")  # the log was for this start; it would grow from now on
                        return
                    if _DISABLED.search(said):
                        raise HostError("hostapd gave the access point up")
        except OSError as error:
            if isinstance(error, HostError):
                raise
            raise HostError(f"hostapd does not answer: {error.strerror}") from error
        raise HostError(f"the access point was not up within {_START_SECONDS:.0f} s")

    def _said(self) -> str:
        try:
            return self._log.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""

    def _end(self) -> None:
        for process in self.processes():
            terminate(process, timeout_seconds=_STOP_SECONDS)
        for path in (*self._directory.glob("hostapd-*.conf"), self._pid, self._log):
            path.unlink(missing_ok=True)
        if self._control.is_dir():  # hostapd removes it itself, unless it was killed
            for path in self._control.iterdir():
                path.unlink(missing_ok=True)
            self._control.rmdir()

    def _served(self, process: Process) -> tuple[str, str]:
        """Return the link that a process of ours serves on, and what it runs with."""
        link, _, version = process.argv[-1].removeprefix(self._prefix).removesuffix(".conf").rpartition("-")
        return link, version


def _messages(control: socket.socket, deadline: float) -> Iterator[str]:
    """Yield what hostapd says until the deadline."""
    poll = select.poll()
    poll.register(control, select.POLLIN)
    while (left := deadline - time.monotonic()) > 0:
        if poll.poll(left * 1000):
            yield control.recv(_CONTROL_BYTES).decode(errors="replace")


def refusal(link: InterfaceName, said: str, error: IcshareError) -> IcshareError:
    """Return the one reason why hostapd does not serve on *link*.

    Args:
        link: The link.
        said: All that hostapd said.
        error: What is the matter, if its words tell nothing.
    """
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    for pattern, reason, hint in _REASONS:
        words = next((line for line in lines if re.search(pattern, line, re.IGNORECASE)), None)
        if words is not None:
            kind = NotSupportedError if pattern.startswith("invalid key_mgmt") else HostError
            return kind(f"there can be no access point on {link}: {reason} (hostapd: {words})", hint=hint)
    words = f" (hostapd: {lines[-1]})" if lines else ""
    return HostError(f"there can be no access point on {link}: {error.message.splitlines()[0]}{words}")
