"""The regulatory database that the kernel loads as firmware."""

from collections.abc import Sequence
from pathlib import Path

from icshare.errors import HostError, InvalidRequestError, NotSupportedError
from icshare.model.regulation import Regulation
from icshare.model.wifi import Country
from icshare.wire.regdb import find_regulation

PLACES = (Path("/lib/firmware/updates/regulatory.db"), Path("/lib/firmware/regulatory.db"))
"""Where the kernel looks for it, first place first.

Source:
    kernel documentation, driver-api/firmware/fw_search_path.
"""
INSTALL = "apt install wireless-regdb && iw reg reload"

_MAX_BYTES = 1024 * 1024


def read_regulation(country: Country, places: Sequence[Path] = PLACES) -> Regulation:
    """Return what radios may do in *country*.

    Raises:
        NotSupportedError: There is no database.
        InvalidRequestError: It does not know the country.
        HostError: It cannot be read, or is damaged.
    """
    data = read_database(places)
    if data is None:
        raise NotSupportedError("no regulatory database (Debian: wireless-regdb)", hint=INSTALL)
    regulation = find_regulation(data, country)
    if regulation is None:
        raise InvalidRequestError(
            f"the regulatory database knows no country {country}",
            hint="codes are those of ISO 3166-1, such as DE, US or GB",
        )
    return regulation


def read_database(places: Sequence[Path] = PLACES) -> bytes | None:
    """Return the database as the kernel would load it, None where there is none.

    Raises:
        HostError: It cannot be read, or is larger than any database.
    """
    for path in places:
        try:
            with path.open("rb") as file:
                data = file.read(_MAX_BYTES + 1)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise HostError(f"{path} cannot be read: {error.strerror}") from error
        if len(data) > _MAX_BYTES:
            raise HostError(f"{path} is larger than any regulatory database ({_MAX_BYTES} bytes)")
        return data
    return None
