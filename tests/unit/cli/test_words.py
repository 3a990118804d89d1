"""Quantities in words, and text that cannot harm a terminal."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icshare.cli.output import Printer, printable
from icshare.cli.words import ago, bytes_in_words, quantity, rate_in_words, span_in_words, state
from icshare.model.connection import Status


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.00 kB"),
        (9_994, "9.99 kB"),
        (9_996, "10.0 kB"),
        (99_960, "100 kB"),
        (999_499, "999 kB"),
        (999_500, "1.00 MB"),
        (34_100_000, "34.1 MB"),
        (2**63, "9.22 EB"),
        (10**22, "10000 EB"),
    ],
)
def test_bytes_have_a_unit_and_three_digits(count: int, words: str) -> None:
    assert bytes_in_words(count) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-5, "0 s"),
        (59.9, "59 s"),
        (60, "1 min"),
        (3599, "59 min"),
        (3600, "1 h"),
        (11_520, "3 h 12 min"),
        (86_400, "1 d"),
        (187_200, "2 d 4 h"),
    ],
)
def test_a_span_has_its_largest_units(seconds: float, words: str) -> None:
    assert span_in_words(seconds) == words


def test_what_is_not_known_is_a_dash() -> None:
    assert ago(100.0, None) == "-"
    assert ago(100.0, 40.0) == "1 min"


def test_one_thing_is_singular() -> None:
    assert [quantity(count, "change") for count in (0, 1, 2)] == ["0 changes", "1 change", "2 changes"]


def test_a_status_has_its_linux_name() -> None:
    assert state(Status.MEDIA_DISCONNECTED) == "no carrier"
    assert state(Status.CREDENTIALS_REQUIRED) == "credentials required"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Büro 1 → 2", "Büro 1 → 2"),
        ("\x1b[2Jgone", "\\x1b[2Jgone"),
        ("a\nb\tc", "a\\x0ab\\x09c"),
        ("caf\udce9", "caf\\xe9"),
        ("\u202eleft", "\\u202eleft"),
    ],
)
def test_no_text_can_move_the_cursor(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(st.text(alphabet=st.characters() | st.characters(categories=["Cs", "Cc", "Cf"])))
def test_anything_can_be_printed_as_one_line(text: str) -> None:
    plain, terminal = io.StringIO(), io.StringIO()
    Printer(plain, terminal=False).line(text)
    Printer(terminal, terminal=True).line(text)
    assert plain.getvalue() == terminal.getvalue() == f"{printable(text)}\n"
    assert printable(text).isprintable()
    plain.getvalue().encode("utf-8")


def test_a_rate_has_a_place_after_the_point_while_it_is_small() -> None:
    assert [rate_in_words(rate) for rate in (1_000, 6_500, 99_940, 99_960, 1_200_900)] == [
        "1.0 Mbit/s",
        "6.5 Mbit/s",
        "99.9 Mbit/s",
        "100 Mbit/s",
        "1201 Mbit/s",
    ]
