"""The names of fast paths."""

import pytest

from icshare.errors import InvalidRequestError
from icshare.model.fastpath import Mode, parse_mode


@pytest.mark.parametrize("mode", list(Mode))
def test_a_mode_is_read_by_its_name(mode: Mode) -> None:
    assert parse_mode(mode.value) is mode


@pytest.mark.parametrize("text", ["", "XDP", "kernel", "x" * 300])
def test_another_word_is_refused_with_the_names_that_there_are(text: str) -> None:
    with pytest.raises(InvalidRequestError, match=r"expected auto, xdp, tc, flowtable, off"):
        parse_mode(text)
