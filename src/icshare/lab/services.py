"""The servers of the lab's Internet in one process: web, echo and, for tests, FTP.

A program of its own, with nothing but the standard library (FTP apart), so that it starts in 50 ms::

    services.py --log FILE [--web ADDRESS] [--echo ADDRESS] [--ftp ADDRESS --ftp-root DIRECTORY]

It binds every socket, prints the pid of the process that will serve, and only then goes into the background: who waits
for its end knows that the servers answer, and a failure is its exit status and its standard error.

* Web, TCP port 80. ``/`` says hello and where the client came from; ``/bytes/N`` is N zero bytes; all else is 404.
* Echo, TCP port 7: says ``ADDRESS PORT`` of the client in a first line, then returns what it gets.
* Echo, UDP port 7: answers with ``ADDRESS PORT``, a line feed and the datagram.
* FTP, TCP port 21: anybody may log in as ``anonymous``, read and write. It is left as pyftpdlib makes it: a test of
  the gateway's FTP helper must not meet a server that was prepared for NAT.

Every request, echo connection and datagram is a line of JSON in the log, written before the answer: a client that got
its answer finds its line.
"""

import argparse
import json
import os
import signal
import socketserver
import sys
import threading
from collections.abc import Callable
from typing import ClassVar, cast

WEB_PORT = 80
ECHO_PORT = 7
FTP_PORT = 21
CHUNK = bytes(65536)
MAX_BYTES = 1 << 40
MAX_HEADERS = 100
MAX_LINE = 8192
# A dead client must not hold a thread for ever. Longer than any lab's quiet connection.
IDLE_SECONDS = 3600


class Log:
    """Lines of JSON, each appended in one write, so that threads and readers see whole lines only."""

    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)

    def seen(self, service: str, client: tuple[str, int], detail: str) -> None:
        """Record that *service* saw a packet of *client*."""
        entry = {"service": service, "source": client[0], "port": client[1], "detail": detail}
        os.write(self._file, (json.dumps(entry) + "\n").encode())

    def close(self) -> None:
        """Let the file go."""
        os.close(self._file)


class TcpServer(socketserver.ThreadingTCPServer):
    """One thread for each connection; a queue long enough for 64 clients at once."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 256
    log: Log


class UdpServer(socketserver.UDPServer):
    """One datagram after the other."""

    log: Log


class EchoStream(socketserver.StreamRequestHandler):
    """Says who the client is, then echoes."""

    timeout: ClassVar[float | None] = IDLE_SECONDS

    def handle(self) -> None:
        """Serve one connection until the client closes it."""
        cast("TcpServer", self.server).log.seen("echo-tcp", self.client_address, "")
        try:
            self.request.sendall(greeting(self.client_address))
            while data := self.request.recv(65536):
                self.request.sendall(data)
        except OSError:
            return  # the client went away; that is how most connections end


class EchoDatagram(socketserver.BaseRequestHandler):
    """Says who the client is and echoes one datagram."""

    def handle(self) -> None:
        """Answer one datagram."""
        data, sock = self.request
        cast("UdpServer", self.server).log.seen("echo-udp", self.client_address, "")
        sock.sendto(greeting(self.client_address) + data, self.client_address)


class Web(socketserver.StreamRequestHandler):
    """As much of HTTP/1.1 as a lab needs: GET and HEAD, one request for each connection.

    Source: RFC 9112.
    """

    timeout: ClassVar[float | None] = IDLE_SECONDS

    def handle(self) -> None:
        """Serve one request."""
        try:
            request = self._request()
            if request is None:
                return
            method, target = request
            cast("TcpServer", self.server).log.seen("web", self.client_address, f"{method} {target}")
            self._answer(method, target)
        except OSError:
            return  # the client went away

    def _request(self) -> tuple[str, str] | None:
        line = self.rfile.readline(MAX_LINE).decode("latin-1").split()
        for _ in range(MAX_HEADERS):
            if self.rfile.readline(MAX_LINE) in {b"\r\n", b"\n", b""}:
                break
        match line:
            case [method, target, version] if version.startswith("HTTP/1."):
                return method, target
            case _:
                return None

    def _answer(self, method: str, target: str) -> None:
        if method not in {"GET", "HEAD"}:
            self._head("405 Method Not Allowed", 0)
            return
        if target == "/":
            page = hello(self.client_address)
            self._head("200 OK", len(page))
            if method == "GET":
                self.wfile.write(page)
            return
        size = wanted_bytes(target)
        if size is None:
            self._head("404 Not Found", 0)
            return
        self._head("200 OK", size)
        while method == "GET" and size > 0:
            self.wfile.write(CHUNK[:size])
            size -= len(CHUNK)

    def _head(self, status: str, length: int) -> None:
        fields = f"Content-Type: text/plain\r\nContent-Length: {length}\r\nConnection: close\r\n"
        self.wfile.write(f"HTTP/1.1 {status}\r\n{fields}\r\n".encode())


def greeting(client: tuple[str, int]) -> bytes:
    """Return the line that tells *client* where it came from."""
    return f"{client[0]} {client[1]}\n".encode()


def hello(client: tuple[str, int]) -> bytes:
    """Return the web server's front page for *client*."""
    return f"Hello from the Internet! You came from {client[0]}, port {client[1]}.\n".encode()


def wanted_bytes(target: str) -> int | None:
    """Return the N of ``/bytes/N``, or None when *target* is something else or asks for more than 1 TiB."""
    prefix, _, number = target.rpartition("/")
    if prefix != "/bytes" or not number.isascii() or not number.isdigit() or len(number) > len(str(MAX_BYTES)):
        return None
    size = int(number)
    return size if size <= MAX_BYTES else None


def background() -> None:
    """Leave the caller: it is told our pid, and our standard streams are let go.

    Called when everything is bound and before the first thread, which would not survive the fork.
    """
    pid = os.fork()
    if pid:
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()
        os._exit(0)
    os.setsid()
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(null, stream)


def ftp_server(address: str, root: str) -> Callable[[], None]:
    """Return what serves FTP at *address* out of *root*; the port is bound already."""
    from pyftpdlib.authorizers import DummyAuthorizer  # noqa: PLC0415 - not installed for users
    from pyftpdlib.handlers import FTPHandler  # noqa: PLC0415
    from pyftpdlib.servers import FTPServer  # noqa: PLC0415

    authorizer = DummyAuthorizer()
    authorizer.add_anonymous(root, perm="elradfmw")
    # pyftpdlib is configured by attributes of the handler's class.
    handler = type("Handler", (FTPHandler,), {"authorizer": authorizer})
    server = FTPServer((address, FTP_PORT), handler)
    serve: Callable[[], None] = server.serve_forever
    return serve


def main(arguments: list[str]) -> int:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--log", required=True)
    parser.add_argument("--web", metavar="ADDRESS")
    parser.add_argument("--echo", metavar="ADDRESS")
    parser.add_argument("--ftp", metavar="ADDRESS")
    parser.add_argument("--ftp-root", metavar="DIRECTORY", default=".")
    options = parser.parse_args(arguments)
    log = Log(options.log)
    servers: list[TcpServer | UdpServer] = []
    if options.web:
        servers.append(TcpServer((options.web, WEB_PORT), Web))
    if options.echo:
        servers.append(TcpServer((options.echo, ECHO_PORT), EchoStream))
        servers.append(UdpServer((options.echo, ECHO_PORT), EchoDatagram))
    for server in servers:
        server.log = log
    serving: list[Callable[[], None]] = [server.serve_forever for server in servers]
    if options.ftp:
        serving.append(ftp_server(options.ftp, options.ftp_root))
    background()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # before the threads, which inherit it
    for serve in serving:
        threading.Thread(target=serve, daemon=True).start()
    signal.sigwait({signal.SIGTERM})
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
