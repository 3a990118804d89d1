"""Our dnsmasq: started, found again by any later process, stopped.

The configuration file's name carries its digest, and stands in the process's own argument list. So whoever looks finds
our server, knows which configuration it serves, and never takes another dnsmasq for ours.

With one link to serve, dnsmasq takes DHCP from that alone, by a socket that is bound to it for good: when the link is
deleted and there is one of its name again, it hears nothing. So that counts as not running, and it is started anew.

It runs as a user of its own: a number that no account has. So the ruleset and policy routing can tell its questions
from those of every other program, another dnsmasq included, and keep them on the public connection. What it needs of
root's powers it is given, and dnsmasq, not being root, asks for no more (ADR 0023).
"""

import os
import pwd
import stat
from pathlib import Path

from icshare.errors import HostError, IcshareError
from icshare.host import command
from icshare.host.privileges import is_mapped
from icshare.host.processes import Process, find_processes, shares_our_network, terminate
from icshare.host.resolvers import RESOLV_CONF, direct_file
from icshare.host.sockets import is_deaf, port_owners
from icshare.plan.steps import digest
from icshare.render.dnsmasq import ServiceFiles

_START_SECONDS = 20.0
_STOP_SECONDS = 5.0
_ACCOUNTS = ("dnsmasq", "nobody")
_OWN_ACCOUNT = 65_527
"""Debian reserves 65000 to 65533 and gives them to nobody; systemd's dynamic users end at 65519; and a container with
users of its own, which commonly has 65536 of them, has it too."""
# To bind ports 53 and 67, also on links that come later; to put clients without address into the neighbour table.
_CAPABILITIES = ("net_admin", "net_bind_service")


class Service:
    """The dnsmasq of one run directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._prefix = f"--conf-file={directory / 'dnsmasq-'}"

    @property
    def files(self) -> ServiceFiles:
        """Where it keeps its files."""
        direct = direct_file()
        return ServiceFiles(
            pid=str(self._directory / "dnsmasq.pid"),
            leases=str(self.leases),
            resolv=(str(RESOLV_CONF),),
            direct=str(direct) if direct else None,
        )

    @property
    def account(self) -> int | None:
        """The user that dnsmasq runs as, and no other program; None where it cannot have one of its own.

        That is in a user namespace that has no such user, and in a directory that others may not enter.
        """
        mapped = is_mapped("uid_map", _OWN_ACCOUNT) and is_mapped("gid_map", _OWN_ACCOUNT)
        above = reversed(self._directory.absolute().parents)  # whoever asks may not enter them either
        reachable = all(map(_is_open, above)) and (not self._directory.exists() or _is_open(self._directory))
        return _OWN_ACCOUNT if mapped and reachable else None

    @property
    def leases(self) -> Path:
        """Its lease file."""
        return self._directory / "dnsmasq.leases"

    def running(self) -> str | None:
        """Return the digest of the configuration that it serves, None when it does not run as it should.

        One that an earlier version has started runs as a user that others have too: nothing would keep its questions on
        the public connection. And one may hear nobody (`is_deaf`).
        """
        own = self.account
        serving = (one for one in self.processes() if own in {None, _user(one.pid)} and not is_deaf(one.pid))
        return next((self._digest(one) for one in serving), None)

    def processes(self) -> tuple[Process, ...]:
        """Return the processes of our dnsmasq."""
        found = find_processes(lambda argv: len(argv) > 1 and argv[1].startswith(self._prefix))
        return tuple(process for process in found if shares_our_network(process.pid))

    def start(self, text: str) -> None:
        """Serve with the configuration *text*, in place of what is served now.

        dnsmasq goes into the background only after it has bound its sockets, so it serves when this returns.

        Raises:
            HostError: It does not start; the message has its words, and the owner of a port that was taken.
            NotSupportedError: dnsmasq is not installed.
        """
        path = self._path(digest(text))
        if self.running() == digest(text) and path.exists():
            return
        self._end()
        temporary = path.with_suffix(".new")
        temporary.write_text(text, encoding="utf-8")
        temporary.chmod(0o644)  # whatever the umask: dnsmasq reads it as its own user
        temporary.replace(path)
        account = self.account
        argv = [] if account is None else self._become(account)
        try:
            command.run([*argv, "dnsmasq", f"--conf-file={path}"], timeout=_START_SECONDS)
        except command.CommandError as error:
            path.unlink(missing_ok=True)
            raise HostError(f"dnsmasq does not start: {_reason(error)}", hint=_owners_hint(error)) from error
        except IcshareError:
            path.unlink(missing_ok=True)
            raise

    def stop(self) -> None:
        """Stop serving and remove what was written for it."""
        self._end()
        for path in (self.leases, self._directory / "dnsmasq.pid"):
            path.unlink(missing_ok=True)

    def _become(self, account: int) -> list[str]:
        """Give what dnsmasq writes to *account*, and return what to put before a command so that it runs as that."""
        self.leases.touch()
        os.chown(self.leases, account, account)
        for name in ("dnsmasq", "setpriv"):
            command.find_program(name)
        powers = ",".join(["-all", *(f"+{name}" for name in _CAPABILITIES)])
        return [
            "setpriv",
            f"--reuid={account}",
            f"--regid={account}",
            "--clear-groups",
            "--no-new-privs",
            f"--inh-caps={powers}",
            f"--ambient-caps={powers}",
            f"--bounding-set={powers}",
        ]

    def _end(self) -> None:
        for process in self.processes():
            terminate(process, timeout_seconds=_STOP_SECONDS)
        for path in self._directory.glob("dnsmasq-*.*"):
            path.unlink(missing_ok=True)

    def _path(self, version: str) -> Path:
        return self._directory / f"dnsmasq-{version}.conf"

    def _digest(self, process: Process) -> str:
        return process.argv[1].removeprefix(self._prefix).removesuffix(".conf")


def account() -> str:
    """Return the account for dnsmasq: the first of its own and nobody that exists and that we can become, else ours.

    In a user namespace that maps one account only there is no other to become.
    """
    for name in _ACCOUNTS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if is_mapped("uid_map", entry.pw_uid):
            return name
    return pwd.getpwuid(os.geteuid()).pw_name


def _is_open(directory: Path) -> bool:
    try:
        return bool(directory.stat().st_mode & stat.S_IXOTH)
    except OSError:
        return False


def _user(pid: int) -> int | None:
    """Return the effective user id of a process, None when it is gone.

    Source:
        proc(5), ``/proc/pid/status``; the owner of the directory is root for a process that may not be traced.
    """
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    return next((int(line.split()[2]) for line in lines if line.startswith("Uid:")), None)


def _reason(error: command.CommandError) -> str:
    lines = [line.removeprefix("dnsmasq: ") for line in error.output.splitlines() if line.strip()]
    return lines[0] if lines else str(error)


def _owners_hint(error: command.CommandError) -> str | None:
    if "in use" not in error.output:
        return None
    owners = [*port_owners(53, "udp"), *port_owners(53, "tcp"), *port_owners(67, "udp")]
    names = ", ".join(
        dict.fromkeys(
            f"{one.program or 'an unknown program'} (pid {one.pid}, {one.address}:{one.port})" for one in owners
        )
    )
    return f"the port belongs to {names}" if names else None
