"""Print: by rich with colour on a terminal, as plain aligned text into a pipe or file.

Words come from links, clients and other programs, so everything is made printable first: no name can move the cursor.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple, TextIO

import msgspec

from icshare.errors import HostError

if TYPE_CHECKING:  # takes 30 ms, and a pipe does not need it
    from rich.console import Console
    from rich.text import Text

_GAP = "  "


class Cell(NamedTuple):
    """Text with a style for terminals: "bold", "green", ... or "" for none."""

    text: str
    style: str = ""


class PipeClosedError(Exception):
    """Nobody reads what the command prints any more: no error worth a word."""


class Printer:
    """Prints lines and tables on one stream."""

    def __init__(self, stream: TextIO, *, terminal: bool) -> None:
        """Take the stream.

        Args:
            stream: Where to print.
            terminal: Use colour and the width of the terminal.
        """
        self._stream = stream
        self.terminal = terminal

    def line(self, *parts: str | Cell) -> None:
        """Print the parts as one line, however long."""
        if self.terminal:
            self._console.print(self._text(*parts), soft_wrap=True)
        else:
            write(self._stream, "".join(_cell(part).text for part in parts) + "\n")

    def paragraph(self, *lead: str | Cell, text: str) -> None:
        """Print *text* behind *lead*, wrapped between words below its own beginning on a narrow terminal."""
        if not self.terminal:
            self.line(*lead, text)
            return
        from rich.table import Table

        columns = Table.grid()
        columns.add_column(no_wrap=True)
        columns.add_column(overflow="fold")
        columns.add_row(self._text(*lead), self._text(text))
        self._console.print(columns)

    def shows(self, text: str) -> bool:
        """Tell whether the stream has the characters of *text*."""
        try:
            text.encode(self._stream.encoding or "utf-8")
        except UnicodeEncodeError:
            return False
        return True

    def table(self, titles: Sequence[str], rows: Iterable[Sequence[str | Cell]], *, right: Sequence[int] = ()) -> None:
        """Print a table with a line of titles.

        Args:
            titles: One for each column.
            rows: Cells, as many as there are titles.
            right: Numbers of the columns that are aligned to the right.
        """
        cells = [[_cell(cell) for cell in row] for row in rows]
        if self.terminal:
            self._rich_table(titles, cells, right)
        else:
            self._plain([[Cell(title.upper()) for title in titles], *cells], right)

    def fields(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Print labels and what they label, aligned and wrapped; an empty label continues the one before."""
        known = list(pairs)
        if self.terminal:
            self._rich_fields(known)
            return
        width = max((len(label) for label, _ in known), default=0)
        for label, text in known:
            self.line(_GAP, label.ljust(width), _GAP, text)

    @contextmanager
    def busy(self, text: str) -> Iterator[Callable[[str], None]]:
        """Show on the terminal that something is going on, and give a function that tells what."""
        with self._console.status(printable(text)) as status:
            yield lambda step: status.update(printable(step))

    @cached_property
    def _console(self) -> "Console":
        from rich.console import Console

        return Console(file=self._stream, force_terminal=True, highlight=False, markup=False, emoji=False)

    def _text(self, *parts: str | Cell) -> "Text":
        from rich.text import Text

        return Text.assemble(*((_cell(part).text, _cell(part).style) for part in parts))

    def _rich_fields(self, pairs: Sequence[tuple[str, str]]) -> None:
        from rich.table import Table

        fields = Table.grid(padding=(0, len(_GAP), 0, 0), pad_edge=False)
        fields.add_column(no_wrap=True)
        fields.add_column(overflow="fold")
        for label, text in pairs:
            fields.add_row(self._text(Cell(_GAP + label, "dim")), self._text(text))
        self._console.print(fields)

    def _rich_table(self, titles: Sequence[str], rows: Sequence[Sequence[Cell]], right: Sequence[int]) -> None:
        """Print a table whose last column alone is wrapped when the terminal is narrow."""
        from rich.table import Table

        table = Table(box=None, padding=(0, len(_GAP), 0, 0), pad_edge=False, header_style="bold")
        for number, title in enumerate(titles):
            last = number == len(titles) - 1
            table.add_column(title, justify="right" if number in right else "left", no_wrap=not last, overflow="fold")
        for row in rows:
            table.add_row(*(self._text(cell) for cell in row))
        self._console.print(table)

    def _plain(self, rows: Sequence[Sequence[Cell]], right: Sequence[int]) -> None:
        widths = [max(len(row[column].text) for row in rows) for column in range(len(rows[0]))]
        for row in rows:
            padded = (
                cell.text.rjust(width) if number in right else cell.text.ljust(width)
                for number, (cell, width) in enumerate(zip(row, widths, strict=True))
            )
            write(self._stream, _GAP.join(padded).rstrip() + "\n")


def write(stream: TextIO, text: str) -> None:
    """Write *text*.

    Raises:
        PipeClosedError: Nobody reads it any more.
        HostError: It cannot be written, for example because a disk is full.
    """
    with writing():
        stream.write(text)


@contextmanager
def writing() -> Iterator[None]:
    """Turn the errors of writing results into ours; as `write`."""
    try:
        yield
    except BrokenPipeError as error:
        raise PipeClosedError from error
    except OSError as error:
        raise HostError(f"the result cannot be written: {error.strerror}") from error


def write_json(stream: TextIO, document: msgspec.Struct) -> None:
    """Write *document* as one indented JSON document."""
    write(stream, msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n")


def printable(text: str) -> str:
    """Return *text* with everything that is no printable character, a newline too, written as an escape."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else _escape(letter) for letter in text)


def _escape(letter: str) -> str:
    code = ord(letter)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that was no UTF-8 (PEP 383)
        code -= 0xDC00
    return f"\\x{code:02x}" if code < 0x100 else letter.encode("unicode_escape").decode("ascii")


def _cell(part: str | Cell) -> Cell:
    if isinstance(part, Cell):
        return Cell(printable(part.text), part.style)
    return Cell(printable(part))
