"""A QR code in text: two rows of it in each line, by half blocks."""

from collections.abc import Sequence

from icshare.cli.output import Cell, Printer

STYLE = "bright_white on black"
_BORDER = 4
"""Light modules around the code. Source: ISO/IEC 18004, quiet zone."""
_GLYPHS = {(0, 0): "█", (0, 1): "▀", (1, 0): "▄", (1, 1): " "}
"""By the module above and that below, 1 for dark: the blocks are the light ones, as most terminals are dark."""


def qr_lines(text: str) -> tuple[str, ...]:
    """Return the code of *text* with its border.

    Text beyond ASCII is said to be UTF-8 (ECI 26): readers guess otherwise, and some guess Chinese.
    """
    import segno

    code = segno.make_qr(text, error="m", encoding="utf-8", eci=not text.isascii())
    matrix = code.matrix_iter(border=_BORDER)
    rows = [list(row) for row in matrix]
    rows += [[0] * len(rows[0])] * (len(rows) % 2)
    return tuple(_line(above, below) for above, below in zip(rows[::2], rows[1::2], strict=True))


def print_qr(out: Printer, text: str) -> None:
    """Print the code of *text*; a stream that has no blocks gets none."""
    if not out.shows("".join(_GLYPHS.values())):
        return
    for line in qr_lines(text):
        out.line(Cell(line, STYLE))


def _line(above: Sequence[int], below: Sequence[int]) -> str:
    return "".join(_GLYPHS[bool(one), bool(two)] for one, two in zip(above, below, strict=True))
