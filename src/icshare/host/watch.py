"""Waits, without asking again and again, until something about sharing may have changed.

The kernel tells of links, addresses and neighbours (rtnetlink) and of the files of the run and state directory
(inotify). What has changed it is for the caller to look at: a message that was lost means to look as well.

Source:
    rtnetlink(7), netlink(7) (ENOBUFS).
"""

import errno
import select
import socket
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

from icshare.host.inotify import Directories
from icshare.host.netlink import refusal

_RTMGRP_LINK: Final = 0x1
_RTMGRP_NEIGH: Final = 0x4
_RTMGRP_IPV4_IFADDR: Final = 0x10
_READ: Final = 1 << 16
# How long a burst must pause to be over, and how long it may last at most, in seconds.
_PAUSE: Final = 0.03
_LONGEST: Final = 0.3


class Watch:
    """The sources of change; one thread waits, any may close."""

    def __init__(self, directories: Iterable[Path]) -> None:
        """Begin to listen in this network namespace: what happens from now on is told.

        Raises:
            HostError: The kernel gives no descriptors.
            PrivilegeError: A directory may not be read.
        """
        self._closed = False
        self._busy = threading.Lock()
        self._directories = Directories(directories)
        self._bell, self._ear = socket.socketpair()
        try:
            self._kernel = socket.socket(
                socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, socket.NETLINK_ROUTE
            )
            self._kernel.bind((0, _RTMGRP_LINK | _RTMGRP_NEIGH | _RTMGRP_IPV4_IFADDR))
        except OSError as error:
            self._directories.close()
            self._bell.close()
            self._ear.close()
            raise refusal("listen to the kernel", error.errno or errno.EIO) from error

    @property
    def closed(self) -> bool:
        """It was closed."""
        return self._closed

    def wait(self, timeout: float | None) -> bool:
        """Wait for a change and the end of the burst it belongs to; False after *timeout* seconds, or when closed.

        Args:
            timeout: Seconds, 0 or more; None waits for ever.
        """
        try:
            with self._busy:
                return self._wait(timeout)
        finally:
            if self._closed:
                self._release()

    def close(self) -> None:
        """End a `wait` that another thread is in, and all later ones; closing twice is harmless."""
        self._closed = True
        with suppress(OSError):  # released already
            self._bell.send(b"\0")
        self._release()

    def _wait(self, timeout: float | None) -> bool:
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            if self.closed or not self._poll(left):
                return False
            if self._take():
                latest = time.monotonic() + _LONGEST
                while time.monotonic() < latest and self._poll(_PAUSE) and not self.closed:
                    self._take()
                return not self.closed

    def _poll(self, seconds: float | None) -> bool:
        poll = select.poll()
        for source in (self._kernel, self._directories, self._ear):
            poll.register(source, select.POLLIN)
        return bool(poll.poll(None if seconds is None else seconds * 1000))

    def _take(self) -> bool:
        """Take everything that has been told; tell whether any of it means to look."""
        told = self._directories.changed()
        while True:
            try:
                self._kernel.recv(_READ)
            except BlockingIOError:
                return told
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise refusal("listen to the kernel", error.errno or errno.EIO) from error
            told = True

    def _release(self) -> None:
        """Give the descriptors back, unless somebody waits on them: he does it when he leaves."""
        if self._busy.acquire(blocking=False):
            try:
                for one in (self._kernel, self._directories, self._bell, self._ear):
                    one.close()
            finally:
                self._busy.release()
