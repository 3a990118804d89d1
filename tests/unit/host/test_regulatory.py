"""Finding the regulatory database."""

from pathlib import Path

import pytest

from icshare.errors import HostError, InvalidRequestError, NotSupportedError
from icshare.host.regulatory import read_database, read_regulation
from icshare.model.wifi import Country

ONE_COUNTRY = b"RGDB\0\0\0\x14DE\0\x04" + bytes(4) + b"\3\0\1\0"


def test_the_first_place_counts(tmp_path: Path) -> None:
    first, second = tmp_path / "updates" / "regulatory.db", tmp_path / "regulatory.db"
    second.write_bytes(ONE_COUNTRY)
    assert read_database([first, second]) == ONE_COUNTRY
    first.parent.mkdir()
    first.write_bytes(b"newer")
    assert read_database([first, second]) == b"newer"


def test_a_country_is_found_or_refused(tmp_path: Path) -> None:
    path = tmp_path / "regulatory.db"
    path.write_bytes(ONE_COUNTRY)
    assert read_regulation(Country("DE"), [path]).rules == ()
    with pytest.raises(InvalidRequestError, match="knows no country XX"):
        read_regulation(Country("XX"), [path])


def test_a_machine_without_database_says_which_package_has_it(tmp_path: Path) -> None:
    assert read_database([tmp_path / "none"]) is None
    with pytest.raises(NotSupportedError, match="wireless-regdb"):
        read_regulation(Country("DE"), [tmp_path / "none"])


def test_what_cannot_be_the_database_is_refused(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="cannot be read"):
        read_database([tmp_path])
    (tmp_path / "large").write_bytes(bytes(1024 * 1024 + 1))
    with pytest.raises(HostError, match="larger"):
        read_database([tmp_path / "large"])
