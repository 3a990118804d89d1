"""Ask a name server a question, as a client on its segment would."""

import os
import socket
import time
from ipaddress import IPv4Address
from typing import Final

from icshare.wire.dns import PORT, Question, RecordType, Response, is_answer_to, parse_response, query

_DATAGRAM_BYTES: Final = 4096
# A lost datagram is asked for again; a local server answers within a millisecond.
_FIRST_WAIT_SECONDS: Final = 0.25


def ask(server: IPv4Address, question: Question, *, timeout_seconds: float, port: int = PORT) -> Response | None:
    """Return the response of *server* to *question*, None when none came in time or the network refused.

    A datagram from elsewhere, or to another question, is passed over.

    Raises:
        InvalidRequestError: The name cannot be asked for.
    """
    identifier = int.from_bytes(os.urandom(2), "big")
    datagram = query(question, identifier)
    deadline = time.monotonic() + timeout_seconds
    wait = _FIRST_WAIT_SECONDS
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as client:
        try:
            client.connect((str(server), port))  # the kernel drops what others send
        except OSError:  # no route, or no permission for one
            return None
        while (left := deadline - time.monotonic()) > 0:
            until = time.monotonic() + min(wait, left)
            wait *= 2
            try:
                client.send(datagram)
                if response := _receive(client, question, identifier, until):
                    return response
            except TimeoutError:
                continue
            except OSError:  # the port is closed, the link is down: nobody serves there
                return None
    return None


def answers(server: IPv4Address, name: str, *, timeout_seconds: float) -> bool:
    """Tell whether *server* answers a query for the addresses of *name*.

    Any response to this very query counts, also that there is no such name or that the server cannot ask further:
    the question is whether somebody serves there.

    Raises:
        InvalidRequestError: The name cannot be asked for.
    """
    return ask(server, Question(name=name, kind=RecordType.A), timeout_seconds=timeout_seconds) is not None


def _receive(client: socket.socket, question: Question, identifier: int, until: float) -> Response | None:
    """Return the response that comes before *until*.

    Raises:
        TimeoutError: None came.
    """
    while True:
        left = until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        client.settimeout(left)
        response = parse_response(client.recv(_DATAGRAM_BYTES))
        if response is not None and is_answer_to(response, question, identifier):
            return response
