"""The event stream: what happens to sharing, as it happens, whoever did it."""

import time
from collections.abc import Callable
from dataclasses import replace
from types import TracebackType
from typing import Protocol, Self

from icshare.model.event import Event
from icshare.plan.happenings import View, happenings


class Source(Protocol):
    """Tells that there is something to look at."""

    @property
    def closed(self) -> bool:
        """It was closed."""
        ...

    def wait(self, timeout: float | None) -> bool:
        """Wait for a change; False after *timeout* seconds (None: never), or when closed."""
        ...

    def close(self) -> None:
        """End every `wait`, from any thread."""
        ...


class Events:
    """An iterator over events that blocks until the next; use it as a context manager, or `close` it.

    What happens after it was made is told, in order. What comes and goes again between two looks is not.
    """

    def __init__(
        self,
        source: Source,
        view: Callable[[], View],
        *,
        timeout: float | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Begin to listen.

        Args:
            source: Tells when to look; it is closed with the stream.
            view: Looks at what there is.
            timeout: Seconds without an event after which the iteration ends, None for never.
            clock: Seconds since the epoch.

        Raises:
            IcshareError: The first look failed; the source is closed.
        """
        self._source = source
        self._view = view
        self._timeout = timeout
        self._clock = clock
        self._pending: list[Event] = []
        try:
            self._last = view()
        except BaseException:
            source.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Event:
        """Return the next event.

        Raises:
            StopIteration: It was closed, or the timeout has passed.
            IcshareError: A look at the host failed.
        """
        deadline = None if self._timeout is None else time.monotonic() + self._timeout
        while not self._pending:
            if self._source.closed:
                raise StopIteration
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            expiry = None if self._last.until is None else max(0.0, self._last.until - self._clock())
            changed = self._source.wait(min((one for one in (left, expiry) if one is not None), default=None))
            if not changed and deadline is not None and time.monotonic() >= deadline:
                raise StopIteration
            if not self._source.closed:
                self._look()
        return self._pending.pop(0)

    def close(self) -> None:
        """End the iteration, also from another thread; closing twice is harmless."""
        self._source.close()

    def _look(self) -> None:
        self._last, before = replace(self._last, until=None), self._last  # what fails now is not tried again at once
        now = self._view()
        self._pending += happenings(before, now)
        self._last = now
