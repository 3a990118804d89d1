"""The QR code that is printed, read by a reader that nobody here wrote."""

import io
import shutil
from pathlib import Path

import pytest
import segno

from icshare.cli.output import Printer
from icshare.cli.qr import print_qr, qr_lines
from icshare.host import command
from icshare.model.wifi import Ssid, passphrase
from icshare.render.joincode import join_code

CODE = join_code(Ssid('Gäste, "oben"; 5\\2'), passphrase("k7fm-2wqx-9htr-bc4e"), hidden=True)
SCALE = 6

needs_reader = pytest.mark.skipif(shutil.which("zbarimg") is None, reason="needs zbarimg (Debian: zbar-tools)")


def _read(path: Path) -> str:
    return command.run(["zbarimg", "--quiet", "--raw", "-Sdisable", "-Sqrcode.enable", str(path)]).stdout.rstrip("\n")


@needs_reader
def test_a_reader_reads_the_picture_of_a_code(tmp_path: Path) -> None:
    path = tmp_path / "code.png"
    segno.make_qr(CODE, error="m", encoding="utf-8", eci=True).save(str(path), scale=SCALE)
    assert _read(path) == CODE


@needs_reader
def test_a_reader_reads_what_is_printed(tmp_path: Path) -> None:
    """The screen is painted as a terminal does it: a block is light, what is left out is dark."""
    out = io.StringIO()
    print_qr(Printer(out, terminal=False), CODE)
    halves = {"█": (255, 255), "▀": (255, 0), "▄": (0, 255), " ": (0, 0)}
    lines = out.getvalue().splitlines()
    width = max(len(line) for line in lines)
    rows = [bytes(halves[glyph][half] for glyph in line.ljust(width)) for line in lines for half in (0, 1)]
    pixels = b"".join(bytes(one for one in row for _ in range(SCALE)) * SCALE for row in rows)
    path = tmp_path / "screen.pgm"
    path.write_bytes(b"P5 %d %d 255\n" % (width * SCALE, len(rows) * SCALE) + pixels)
    assert _read(path) == CODE


def test_a_code_has_a_light_border() -> None:
    lines = qr_lines("WIFI:T:WPA;S:a;P:bbbbbbbb;;")
    assert len({len(line) for line in lines}) == 1
    assert set(lines[0] + lines[1]) == {"█"}
    assert all(line.startswith("████") and line.endswith("████") for line in lines)


def test_a_stream_without_blocks_gets_no_code() -> None:
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    print_qr(Printer(out, terminal=False), CODE)
    assert out.tell() == 0
