"""The event stream, on a source and views made by hand."""

import threading
from collections.abc import Iterable

import pytest

from icshare.control.events import Events
from icshare.errors import HostError
from icshare.model.event import SharingChanged
from icshare.plan.happenings import View

OFF, ON = View(), View(in_force=True)


class Bell:
    """A source that rings as often as it was told to, then is silent."""

    def __init__(self, rings: int) -> None:
        self.rings = rings
        self.timeouts: list[float | None] = []
        self._closed = threading.Event()
        self.waiting = threading.Event()

    @property
    def closed(self) -> bool:
        return self._closed.is_set()

    def wait(self, timeout: float | None) -> bool:
        self.timeouts.append(timeout)
        if self.rings:
            self.rings -= 1
            return True
        self.waiting.set()
        self._closed.wait(timeout)
        return False

    def close(self) -> None:
        self._closed.set()


class Eyes:
    """Views, one after the other; the last one stays."""

    def __init__(self, views: Iterable[View]) -> None:
        self._views = list(views)

    def __call__(self) -> View:
        return self._views.pop(0) if len(self._views) > 1 else self._views[0]


def told(in_force: bool) -> SharingChanged:
    return SharingChanged(public=None, privates=(), in_force=in_force)


def test_events_are_told_in_order_and_the_timeout_ends_the_iteration() -> None:
    with Events(Bell(4), Eyes([OFF, ON, ON, OFF, ON]), timeout=0.01) as events:
        assert list(events) == [told(True), told(False), told(True)]


def test_a_view_that_changes_by_time_alone_is_taken_again_when_it_is_time() -> None:
    bell = Bell(0)
    with Events(bell, Eyes([View(in_force=True, until=100.5), OFF]), timeout=10.0, clock=lambda: 100.49) as events:
        assert next(events) == told(False)
    (waited,) = bell.timeouts
    assert waited == pytest.approx(0.01)


def test_another_thread_ends_it() -> None:
    bell = Bell(0)
    events = Events(bell, Eyes([OFF]))
    found: list[object] = []
    thread = threading.Thread(target=lambda: found.extend(events))
    thread.start()
    assert bell.waiting.wait(10)
    events.close()
    thread.join(10)
    assert not thread.is_alive()
    assert found == []
    with pytest.raises(StopIteration):
        next(events)


def test_a_first_look_that_fails_closes_the_source() -> None:
    def fail() -> View:
        raise HostError("no")

    bell = Bell(0)
    with pytest.raises(HostError):
        Events(bell, fail)
    assert bell.closed


def test_a_look_that_fails_is_an_error_and_the_next_change_tries_again() -> None:
    looks: list[View | None] = [View(until=0.0), None, ON]

    def look() -> View:
        found = looks.pop(0)
        if found is None:
            raise HostError("no")
        return found

    bell = Bell(2)
    with Events(bell, look) as events:
        with pytest.raises(HostError):
            next(events)
        assert next(events) == told(True)
    assert bell.timeouts == [0.0, None]
