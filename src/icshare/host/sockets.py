"""The host's own sockets: who owns a port, what is connected to whom, where the administrator logs in from.

Read from ``/proc``, where a socket has no owner: the owner is whoever holds a descriptor of its inode. Processes come
and go while that is looked for, and those of other users keep their descriptors secret; either way the owner stays
unknown, and the socket is reported all the same.
"""

import errno
import os
import socket
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Final, Literal

from icshare.host.processes import PROC, ancestors, pids, program_name
from icshare.wire import sockdiag

Transport = Literal["tcp", "udp"]
IPAddress = IPv4Address | IPv6Address

_NETLINK_SOCK_DIAG: Final = 4
_RECEIVE_BYTES: Final = 1 << 16
_RECEIVE_SECONDS: Final = 2.0
# State numbers of net/tcp_states.h, as /proc/net prints them.
_ESTABLISHED, _UNCONNECTED, _LISTEN = 0x01, 0x07, 0x0A
# Besides the established ones those where one side is done and the other may still send.
_FLOWING: Final = {"tcp": frozenset({_ESTABLISHED, 0x04, 0x05, 0x08, 0x09, 0x0B}), "udp": frozenset({_ESTABLISHED})}
_SERVING: Final = {"tcp": frozenset({_LISTEN}), "udp": frozenset({_UNCONNECTED})}


@dataclass(frozen=True, slots=True, kw_only=True)
class PortOwner:
    """A socket that takes what comes to a port.

    Attributes:
        address: The address it is bound to; unspecified stands for all, ``::`` for those of IPv4 as well unless the
            socket is told otherwise.
        port: The port.
        protocol: ``tcp`` or ``udp``.
        pid: A process that holds it, None when that cannot be seen.
        program: Name of that process's program.
        device: The only link it hears, None for all links, or when the kernel cannot tell.
    """

    address: IPAddress
    port: int
    protocol: Transport
    pid: int | None
    program: str | None
    device: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """A connection of the host itself, IPv4 also where the program used an IPv6 socket for it."""

    protocol: Transport
    local: IPAddress
    local_port: int
    remote: IPAddress
    remote_port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SshLogin:
    """The SSH session that somebody works in.

    Attributes:
        client: Where they sit.
        client_port: Their port.
        server: The address of this host that they reached.
        server_port: The port of this host that they reached.
    """

    client: IPAddress
    client_port: int
    server: IPAddress
    server_port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Socket:
    protocol: Transport
    local: IPAddress
    local_port: int
    remote: IPAddress
    remote_port: int
    state: int
    inode: int


def bound_devices(protocol: Transport) -> dict[int, str]:
    """Return the link's name by the inode of each socket that is bound to one; empty where the kernel cannot tell."""
    indices = _bound_links(protocol)
    names = dict(socket.if_nameindex())
    return {inode: names[index] for inode, index in indices.items() if index in names}


def is_deaf(pid: int) -> bool:
    """Tell whether a process has a UDP socket that hears one link alone, which is gone; another of its name is another.

    Of a process that keeps its descriptors secret from us: no.
    """
    indices = _bound_links("udp")
    present = {index for index, _ in socket.if_nameindex()}  # asked later: what came meanwhile is there
    gone = {f"socket:[{inode}]" for inode, index in indices.items() if index not in present}
    return bool(gone) and not gone.isdisjoint(_descriptors(PROC / str(pid) / "fd"))


def _bound_links(protocol: Transport) -> dict[int, int]:
    """Return the link's index by the inode of each socket that is bound to one; empty where the kernel cannot tell."""
    number = {"tcp": socket.IPPROTO_TCP, "udp": socket.IPPROTO_UDP}[protocol]
    indices: dict[int, int] = {}
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            with socket.socket(
                socket.AF_NETLINK, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC, _NETLINK_SOCK_DIAG
            ) as kernel:
                kernel.settimeout(_RECEIVE_SECONDS)
                kernel.send(sockdiag.dump_request(family, number))
                complete = False
                while not complete:
                    found, complete = sockdiag.parse_dump(kernel.recv(_RECEIVE_BYTES))
                    indices |= found
        except OSError as error:
            if error.errno not in {errno.EPROTONOSUPPORT, errno.ENOENT, errno.EPERM, errno.EACCES, None}:
                raise
    return indices


def port_owners(
    port: int,
    protocol: Transport,
    *,
    proc: Path = PROC,
    devices: Callable[[Transport], Mapping[int, str]] = bound_devices,
) -> tuple[PortOwner, ...]:
    """Return every socket that listens on *port*, for TCP, or waits there unconnected, for UDP.

    Args:
        port: The port.
        protocol: ``tcp`` or ``udp``.
        proc: Where the proc file system is.
        devices: Tells the link that each socket is bound to, by inode.
    """
    serving = [one for one in _sockets(protocol, proc) if one.local_port == port and one.state in _SERVING[protocol]]
    if not serving:
        return ()
    holders = _holders({one.inode for one in serving}, proc)
    bound = devices(protocol)
    return tuple(
        PortOwner(
            address=one.local,
            port=port,
            protocol=protocol,
            pid=pid,
            program=None if pid is None else program_name(pid, proc),
            device=bound.get(one.inode),
        )
        for one in serving
        for pid in (holders.get(one.inode),)
    )


def established_flows(*, proc: Path = PROC) -> tuple[Flow, ...]:
    """Return the connections of the host itself to others: TCP in every state that may carry data, connected UDP."""
    protocols: tuple[Transport, ...] = ("tcp", "udp")
    return tuple(
        Flow(
            protocol=protocol,
            local=one.local,
            local_port=one.local_port,
            remote=one.remote,
            remote_port=one.remote_port,
        )
        for protocol in protocols
        for one in _sockets(protocol, proc)
        if one.state in _FLOWING[protocol] and not one.remote.is_loopback
    )


def ssh_login(*, environment: Mapping[str, str] = os.environ, proc: Path = PROC) -> SshLogin | None:
    """Return the SSH session that this process was started in, None when there is none.

    ``sudo`` takes SSH_CONNECTION out of the environment, so the environments of our ancestors are asked too.

    Source:
        ssh(1), ENVIRONMENT: client address, client port, server address, server port.
    """
    if login := _login(environment.get("SSH_CONNECTION", "")):
        return login
    for pid in ancestors(proc):
        try:
            variables = (proc / str(pid) / "environ").read_bytes().split(b"\0")
        except OSError:  # gone, or another user's
            continue
        for variable in variables:
            name, _, value = variable.partition(b"=")
            if name == b"SSH_CONNECTION" and (login := _login(value.decode("ascii", errors="replace"))):
                return login
    return None


def _login(text: str) -> SshLogin | None:
    words = text.split()
    if len(words) != 4 or not (_is_port(words[1]) and _is_port(words[3])):
        return None
    try:
        client, server = ip_address(words[0]), ip_address(words[2])
    except ValueError:
        return None
    return SshLogin(client=_plain(client), client_port=int(words[1]), server=_plain(server), server_port=int(words[3]))


def _is_port(word: str) -> bool:
    return word.isascii() and word.isdigit() and len(word) <= 5 and 0 < int(word) < 65536


def _sockets(protocol: Transport, proc: Path) -> Iterator[_Socket]:
    """Read the sockets of a protocol, of IPv4 and, where the kernel has it, IPv6.

    Source:
        proc_net(5), /proc/net/tcp.
    """
    for name in (protocol, f"{protocol}6"):
        try:
            text = (proc / "net" / name).read_text(encoding="ascii", errors="replace")
        except FileNotFoundError:
            continue
        for line in text.splitlines()[1:]:
            fields = line.split()
            try:
                local, local_port = _endpoint(fields[1])
                remote, remote_port = _endpoint(fields[2])
                state, inode = int(fields[3], 16), int(fields[9])
            except (IndexError, ValueError):
                continue
            yield _Socket(
                protocol=protocol,
                local=local,
                local_port=local_port,
                remote=remote,
                remote_port=remote_port,
                state=state,
                inode=inode,
            )


def _endpoint(text: str) -> tuple[IPAddress, int]:
    """Read ``0100007F:0035``: the address as words of 32 bits in the host's byte order, the port as a number.

    Raises:
        ValueError: It is something else.
    """
    digits, _, port = text.partition(":")
    raw = bytes.fromhex(digits)
    if len(raw) not in {4, 16}:
        raise ValueError(text)
    if sys.byteorder == "little":
        raw = b"".join(raw[start : start + 4][::-1] for start in range(0, len(raw), 4))
    return _plain(IPv4Address(raw) if len(raw) == 4 else IPv6Address(raw)), int(port, 16)


def _plain(address: IPAddress) -> IPAddress:
    """Return the IPv4 address inside a mapped one, and IPv6 addresses without a zone."""
    if isinstance(address, IPv4Address):
        return address
    return address.ipv4_mapped or IPv6Address(int(address))


def _holders(inodes: set[int], proc: Path) -> dict[int, int]:
    """Return a process that holds each of *inodes*, where one can be seen.

    Of several the one with the smallest number; the first process comes last, since it holds sockets for others.
    """
    wanted = {f"socket:[{inode}]": inode for inode in inodes}
    found: dict[int, int] = {}
    for pid in sorted(pids(proc), key=lambda pid: (pid == 1, pid)):
        if len(found) == len(inodes):
            break
        for target in _descriptors(proc / str(pid) / "fd"):
            if target in wanted:
                found.setdefault(wanted[target], pid)
    return found


def _descriptors(directory: Path) -> Iterable[str]:
    """Yield what the descriptors of a process point to, as far as that can be read."""
    try:
        names = os.listdir(directory)  # noqa: PTH208 - thousands of them, and each Path costs as much as the call
    except OSError:
        return
    for name in names:
        try:
            yield os.readlink(f"{directory}/{name}")  # noqa: PTH115 - likewise
        except OSError:
            continue
