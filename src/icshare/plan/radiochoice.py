"""Which of the connections named is the radio of the access point that is asked for."""

from collections.abc import Iterable, Sequence

from icshare.errors import InvalidRequestError
from icshare.model.connection import Connection
from icshare.model.names import InterfaceName, interface_name


def is_wireless(connection: Connection) -> bool:
    """Tell whether *connection* is an interface of a Wi-Fi radio."""
    return connection.kind.startswith("Wi-Fi")


def choose_radio(public: str, privates: Sequence[str], connections: Iterable[Connection]) -> InterfaceName:
    """Return the one Wi-Fi connection among *privates*; it may be the public one, named once more.

    Raises:
        InvalidRequestError: There is none, or more than one.
    """
    wireless = {one.interface for one in connections if is_wireless(one)}
    found = [name for name in dict.fromkeys(privates) if name in wireless]
    if len(found) == 1:
        return interface_name(found[0])
    if found:
        raise InvalidRequestError(
            f"an access point has one radio, and {', '.join(found)} are {len(found)}",
            hint="name one Wi-Fi connection as private",
        )
    if public in wireless:
        hint = f"icshare share {public} {public} ... makes it on the radio of {public}, beside what it does"
    elif wireless:
        hint = f"of Wi-Fi here: {', '.join(sorted(wireless))}"
    else:
        hint = "this machine has no Wi-Fi connection; icshare list --all shows what there is"
    raise InvalidRequestError(f"no Wi-Fi connection to make an access point of among {', '.join(privates)}", hint=hint)
