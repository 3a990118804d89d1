"""A netlink socket: asks the kernel, hands answers to the codec of `icshare.wire`, raises what the kernel refuses.

A socket speaks to the network namespace that its thread was in when it was made. It serves one thread at a time.

Source:
    netlink(7), rtnetlink(7).
"""

import errno
import os
import socket
from collections.abc import Callable, Iterable, Sequence
from types import TracebackType
from typing import Self, TypeVar

from icshare.errors import HostError, PrivilegeError
from icshare.model.link import Address, IfIndex, Link, Neighbour, Route, Rule
from icshare.wire import rtnetlink
from icshare.wire.netlink import (
    NLM_F_ACK,
    NLM_F_DUMP_INTR,
    NLMSG_DONE,
    NLMSG_ERROR,
    NLMSG_NOOP,
    NLMSG_OVERRUN,
    Message,
    Request,
    acknowledgement,
    encode,
    messages,
)

_T = TypeVar("_T")

_SOL_NETLINK = 270
_NETLINK_EXT_ACK = 11
_NETLINK_GET_STRICT_CHK = 12

_BUFFER = 1 << 20
_READ = 1 << 16  # the kernel makes no dump message block larger than 32 KiB
_DUMP_TRIES = 8
_TIMEOUT_SECONDS = 10.0  # the kernel answers within the send call; only a broken one could keep us waiting


def refusal(purpose: str, number: int, words: str = "") -> HostError:
    """Return the error that says what the kernel refused and why; ``errno`` holds *number*.

    Args:
        purpose: What was asked for: "add 192.168.137.1/24 to link 3".
        number: errno number, 1 to 4095.
        words: The kernel's own explanation, "" if it gave none.
    """
    name = errno.errorcode.get(number, str(number))
    detail = f"{words.rstrip('.')} ({name})" if words else f"{os.strerror(number)} ({name})"
    error = HostError(f"cannot {purpose}: {detail}")
    error.errno = number
    return error


class NetlinkSocket:
    """A netlink socket for requests; use it as a context manager."""

    def __init__(self, protocol: int = socket.NETLINK_ROUTE) -> None:
        """Open the socket in the current network namespace.

        Raises:
            HostError: The kernel gives none, for lack of descriptors or memory.
        """
        try:
            self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
        except OSError as error:
            raise refusal("open a netlink socket", error.errno or 0) from error
        self._sequence = 0
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
            self._socket.setsockopt(_SOL_NETLINK, _NETLINK_EXT_ACK, 1)
            self._socket.setsockopt(_SOL_NETLINK, _NETLINK_GET_STRICT_CHK, 1)
            self._socket.settimeout(_TIMEOUT_SECONDS)
            self._socket.bind((0, 0))
        except OSError as error:
            self._socket.close()
            raise refusal("set up a netlink socket", error.errno or 0) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the socket; closing twice is harmless."""
        self._socket.close()

    def request(self, request: Request) -> tuple[Message, ...]:
        """Have the kernel carry out *request*; return its answers, none for a change.

        Raises:
            PrivilegeError: CAP_NET_ADMIN in this namespace is missing.
            HostError: The kernel refused; ``errno`` is its error number and the message its own words.
        """
        self._send(request, NLM_F_ACK)
        answers: list[Message] = []
        while True:
            for message in self._receive(request):
                if message.type == NLMSG_ERROR:
                    self._check(request, message)
                    return tuple(answers)
                answers.append(message)

    def request_all(self, requests: Sequence[Request]) -> list[PrivilegeError | HostError | None]:
        """Have the kernel carry out changes one after another within one call; return what became of each.

        It goes on after one that it refuses. Nothing ends this process between two of them, but for one that has to
        load a module, which a signal that kills can cut short.

        Raises:
            HostError: The call as a whole failed.
        """
        if not requests:
            return []
        first = self._sequence + 1
        together = b"".join(
            encode(one, (first + number) & 0xFFFFFFFF, extra=NLM_F_ACK) for number, one in enumerate(requests)
        )
        outcome: dict[int, PrivilegeError | HostError | None] = {}
        try:
            self._socket.sendto(together, (0, 0))
        except OSError as error:
            raise refusal(requests[0].purpose, error.errno or errno.EIO) from error
        for number, one in enumerate(requests):
            self._sequence = (first + number) & 0xFFFFFFFF
            while number not in outcome:
                for message in self._receive(one):
                    if message.type == NLMSG_ERROR:
                        outcome[number] = _outcome(one, message)
        return [outcome[number] for number in range(len(requests))]

    def dump(self, request: Request) -> list[Message]:
        """Return everything that a dump *request* lists, from one consistent moment.

        Raises:
            PrivilegeError: CAP_NET_ADMIN in this namespace is missing.
            HostError: The kernel refused, or its tables changed during every one of several tries.
        """
        for _ in range(_DUMP_TRIES):
            answers, consistent = self._dump_once(request)
            if consistent:
                return answers
        error = HostError(
            f"cannot {request.purpose}: it changed during each of {_DUMP_TRIES} readings (EINTR)",
            hint="something on this host changes its network without pause; see who with 'ip monitor'",
        )
        error.errno = errno.EINTR
        raise error

    def links(self) -> tuple[Link, ...]:
        """Return every link, without the facts of sysfs, in the order of creation."""
        found = [rtnetlink.parse_link(message.payload) for message in self.dump(rtnetlink.dump_links())]
        return tuple(sorted(found, key=lambda link: link.index))

    def find_link(self, name: str) -> Link | None:
        """Return the link called *name*, without the facts of sysfs, or None."""
        try:
            (message,) = self.request(rtnetlink.get_link(name))
        except HostError as error:
            # A name that no link can have (too long, empty) is not found either.
            if error.errno in {errno.ENODEV, errno.ERANGE, errno.EINVAL}:
                return None
            raise
        return rtnetlink.parse_link(message.payload)

    def find_link_by_index(self, index: IfIndex) -> Link | None:
        """Return the link with *index*, without the facts of sysfs, or None."""
        try:
            (message,) = self.request(rtnetlink.get_link_by_index(index))
        except HostError as error:
            if error.errno == errno.ENODEV:
                return None
            raise
        return rtnetlink.parse_link(message.payload)

    def addresses(self) -> tuple[Address, ...]:
        """Return every IPv4 and IPv6 address in the kernel's order, which tells primaries from secondaries."""
        return _parsed(rtnetlink.parse_address, self.dump(rtnetlink.dump_addresses()))

    def routes(self) -> tuple[Route, ...]:
        """Return every route of every table, IPv4 first, in the kernel's order."""
        requests = (rtnetlink.dump_routes(rtnetlink.AF_INET), rtnetlink.dump_routes(rtnetlink.AF_INET6))
        return _parsed(rtnetlink.parse_route, self._both(requests))

    def rules(self) -> tuple[Rule, ...]:
        """Return every policy rule, IPv4 first, by priority."""
        requests = (rtnetlink.dump_rules(rtnetlink.AF_INET), rtnetlink.dump_rules(rtnetlink.AF_INET6))
        return _parsed(rtnetlink.parse_rule, self._both(requests))

    def neighbours(self) -> tuple[Neighbour, ...]:
        """Return every neighbour entry, IPv4 first."""
        requests = (rtnetlink.dump_neighbours(rtnetlink.AF_INET), rtnetlink.dump_neighbours(rtnetlink.AF_INET6))
        return _parsed(rtnetlink.parse_neighbour, self._both(requests))

    def _both(self, requests: Iterable[Request]) -> list[Message]:
        found: list[Message] = []
        for request in requests:
            try:
                found += self.dump(request)
            except HostError as error:
                # A kernel without IPv6, or with ipv6.disable=1, knows no such family.
                if error.errno not in {errno.EAFNOSUPPORT, errno.EOPNOTSUPP}:
                    raise
        return found

    def _dump_once(self, request: Request) -> tuple[list[Message], bool]:
        self._send(request, 0)
        answers: list[Message] = []
        consistent = True
        while True:
            for message in self._receive(request):
                consistent = consistent and not message.flags & NLM_F_DUMP_INTR
                if message.type in {NLMSG_DONE, NLMSG_ERROR}:
                    self._check(request, message)
                    return answers, consistent
                answers.append(message)

    def _check(self, request: Request, message: Message) -> None:
        error = _outcome(request, message)
        if error is not None:
            raise error

    def _send(self, request: Request, extra: int) -> None:
        self._sequence = (self._sequence + 1) & 0xFFFFFFFF
        try:
            self._socket.sendto(encode(request, self._sequence, extra=extra), (0, 0))
        except OSError as error:
            raise refusal(request.purpose, error.errno or errno.EIO) from error

    def _receive(self, request: Request) -> list[Message]:
        """Return the next messages that answer *request*; what is left of an earlier one is dropped."""
        try:
            data, _, flags, sender = self._socket.recvmsg(_READ)
        except TimeoutError as error:
            raise refusal(request.purpose, errno.ETIMEDOUT, "the kernel does not answer") from error
        except OSError as error:
            raise refusal(request.purpose, error.errno or errno.EIO) from error
        if flags & socket.MSG_TRUNC:
            raise HostError(f"cannot {request.purpose}: the kernel sent more than {_READ} bytes at once")
        if sender[0] != 0:  # another process may send to our port; only the kernel's port is 0
            return []
        found = [message for message in messages(data) if message.sequence == self._sequence]
        if any(message.type == NLMSG_OVERRUN for message in found):
            raise HostError(f"cannot {request.purpose}: the kernel lost a part of its answer")
        return [message for message in found if message.type != NLMSG_NOOP]


def _outcome(request: Request, message: Message) -> PrivilegeError | HostError | None:
    result = acknowledgement(message)
    if result.error in {errno.EPERM, errno.EACCES}:
        privilege = PrivilegeError(
            f"cannot {request.purpose}: CAP_NET_ADMIN is missing", hint="run it as root, for example with sudo"
        )
        privilege.errno = result.error
        return privilege
    return refusal(request.purpose, result.error, result.text) if result.error else None


def _parsed(parse: Callable[[bytes], _T | None], found: Iterable[Message]) -> tuple[_T, ...]:
    values = (parse(message.payload) for message in found)
    return tuple(value for value in values if value is not None)
