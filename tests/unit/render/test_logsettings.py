"""The log process's configuration, as text and back."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icshare.errors import InvalidRequestError
from icshare.render.logsettings import LogSettings, log_configuration, parse_log_configuration


@given(
    st.builds(
        LogSettings,
        path=st.text(min_size=1).map(lambda name: "/" + name.replace("/", "").replace("\0", "") + "x"),
        limit=st.integers(1, 2**40),
        group=st.integers(0, 0xFFFF),
        opened=st.booleans(),
    )
)
def test_what_is_written_is_read(settings: LogSettings) -> None:
    text = log_configuration(settings)
    assert parse_log_configuration(text) == settings
    assert text.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no JSON"),
        ("[" * 100_000, "no JSON"),
        ("[]", "does not consist of path, limit, group, opened"),
        ("{}", "does not consist of"),
    ],
)
def test_other_text_is_refused(text: str, words: str) -> None:
    with pytest.raises(InvalidRequestError, match=words):
        parse_log_configuration(text)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"more": 1}, "does not consist of"),
        ({"limit": "1"}, "another type"),
        ({"limit": True}, "another type"),
        ({"opened": 1}, "another type"),
        ({"path": None}, "another type"),
        ({"path": "log"}, "absolute path of a file"),
        ({"path": "/var/log/"}, "absolute path of a file"),
        ({"path": "/var/log/a\0b"}, "absolute path of a file"),
        ({"limit": 0}, "out of range"),
        ({"group": -1}, "out of range"),
        ({"group": 65_536}, "out of range"),
    ],
)
def test_a_value_that_this_module_does_not_write_is_refused(changed: dict[str, Any], words: str) -> None:
    text = json.dumps({**json.loads(log_configuration(LogSettings())), **changed})
    with pytest.raises(InvalidRequestError, match=words):
        parse_log_configuration(text)
