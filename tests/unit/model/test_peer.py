"""Names of peers become words of pppd and parts of paths."""

import pytest

from icshare.errors import InvalidRequestError
from icshare.model.peer import is_left_over, is_peer_name, peer_name


@pytest.mark.parametrize("name", ["provider", "dsl-provider", "T-Online_2", "a.b", "9"])
def test_usual_names_are_names(name: str) -> None:
    assert peer_name(name) == name


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "../x", "a..b", ".hidden", "-x", "a b", "a\n", "a~", "ü", "a\0", "x" * 64]
)
def test_what_could_be_more_than_a_name_is_none(name: str) -> None:
    assert not is_peer_name(name)
    with pytest.raises(InvalidRequestError):
        peer_name(name)


@pytest.mark.parametrize("name", ["fibre.dpkg-old", "fibre.bak", "fibre.rpmsave", "fibre.ucf-dist"])
def test_what_tools_leave_behind_is_no_peer(name: str) -> None:
    assert is_left_over(name)
    assert not is_left_over("fibre")
