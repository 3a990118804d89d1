"""Calls on the system bus, one after the other, with deadlines; the one module that knows the D-Bus library.

A service that does not run is not started by asking for it.
"""

import contextlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Any, Self

from jeepney import DBusAddress, MatchRule, Message, MessageFlag, MessageType, new_method_call
from jeepney.io.blocking import DBusConnection, open_dbus_connection
from jeepney.low_level import HeaderFields

from icshare.errors import HostError

CALL_SECONDS = 25.0
"""As long as libdbus waits for an answer."""

Heard = Callable[[float], tuple[str, tuple[Any, ...]] | None]
"""Waits for a signal at most so many seconds: the path of the object that sent it and its arguments, None if none."""

_PROPERTIES = "org.freedesktop.DBus.Properties"
_BUS = DBusAddress("/org/freedesktop/DBus", "org.freedesktop.DBus", "org.freedesktop.DBus")


class CallRefusedError(HostError):
    """A service refused a call.

    Attributes:
        name: The D-Bus name of the error.
    """

    def __init__(self, message: str, name: str) -> None:
        super().__init__(message)
        self.name = name


class Service:
    """One service on the system bus; a context manager."""

    def __init__(self, connection: DBusConnection, name: str, owner: str) -> None:
        """Take an open connection; `find` opens one.

        Args:
            connection: To the bus.
            name: The service's name.
            owner: The unique name of who has it.
        """
        self._connection = connection
        self._name = name
        self._owner = owner

    @classmethod
    def find(cls, name: str) -> Self | None:
        """Return the running service called *name*, None when it does not run, or there is no bus.

        Raises:
            HostError: The bus does not do what a bus does.
        """
        try:
            connection = open_dbus_connection("SYSTEM")
        except (OSError, RuntimeError, ValueError):  # no bus, nobody there, none that we may use
            return None
        try:
            (owner,) = _call(connection, _BUS, "GetNameOwner", "s", (name,))
        except CallRefusedError:
            connection.close()
            return None
        except BaseException:
            connection.close()
            raise
        return cls(connection, name, owner)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._connection.close()

    def call(
        self, path: str, interface: str, method: str, signature: str = "", body: Sequence[object] = ()
    ) -> tuple[Any, ...]:
        """Call a method and return what it answers.

        Raises:
            CallRefusedError: The service refused; the message has its words.
            HostError: There was no answer in time.
        """
        return _call(self._connection, DBusAddress(path, self._name, interface), method, signature, tuple(body))

    def get(self, path: str, interface: str, name: str) -> Any:  # noqa: ANN401 (a variant)
        """Return a property. Errors as for `call`."""
        ((_, value),) = self.call(path, _PROPERTIES, "Get", "ss", (interface, name))
        return value

    @contextlib.contextmanager
    def heard(self, interface: str, member: str) -> Iterator[Heard]:
        """Listen to a signal of all of the service's objects from now on, and give what waits for the next one."""
        rule = MatchRule(type="signal", sender=self._owner, interface=interface, member=member)
        queue: deque[Message] = deque()
        with self._connection.filter(rule, queue=queue):
            _call(self._connection, _BUS, "AddMatch", "s", (rule.serialise(),))

            def next_one(seconds: float) -> tuple[str, tuple[Any, ...]] | None:
                try:
                    message = self._connection.recv_until_filtered(queue, timeout=seconds)
                except TimeoutError:
                    return None
                except OSError as error:
                    raise HostError(f"the system bus is gone: {error}") from error
                return message.header.fields[HeaderFields.path], message.body

            yield next_one


def _call(
    connection: DBusConnection, address: DBusAddress, method: str, signature: str, body: tuple[object, ...]
) -> tuple[Any, ...]:
    message = new_method_call(address, method, signature or None, body)
    message.header.flags |= MessageFlag.no_auto_start
    where = f"{address.bus_name.rpartition('.')[2]}: {method}"
    try:
        reply = connection.send_and_get_reply(message, timeout=CALL_SECONDS)
    except TimeoutError as error:
        raise HostError(f"{where}: no answer within {CALL_SECONDS:.0f} s") from error
    except OSError as error:
        raise HostError(f"{where}: the system bus is gone: {error}") from error
    if reply.header.message_type == MessageType.error:
        name = str(reply.header.fields.get(HeaderFields.error_name, ""))
        words = str(reply.body[0]) if reply.body else name
        raise CallRefusedError(f"{where}: {words}", name)
    return tuple(reply.body)
