"""The user that our name server runs as."""

import tempfile
from pathlib import Path

import pytest

from icshare.host.privileges import is_mapped
from icshare.host.service import Service

MAPPED = is_mapped("uid_map", 65_527) and is_mapped("gid_map", 65_527)


@pytest.mark.skipif(not MAPPED, reason="this user namespace does not have the name server's own user")
def test_the_name_server_is_a_user_of_its_own_where_that_can_read_its_files(tmp_path: Path) -> None:
    """A directory of one user cannot be entered by another, so it runs as before there."""
    assert Service(Path("/run/icshare")).account == 65_527
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    assert Service(closed / "icshare").account is None


def test_a_directory_that_is_not_there_yet_is_no_error(tmp_path: Path) -> None:
    assert Service(tmp_path / "not" / "there" / "icshare").account is None


@pytest.mark.skipif(not MAPPED, reason="this user namespace does not have the name server's own user")
def test_the_directory_itself_has_to_be_open_too() -> None:
    """Only those above it were looked at, and dnsmasq could not read its configuration."""
    with tempfile.TemporaryDirectory(dir="/run") as name:  # below pytest's own, which are closed, nothing would be told
        assert Service(Path(name)).account is None
        Path(name).chmod(0o755)
        assert Service(Path(name)).account == 65_527
