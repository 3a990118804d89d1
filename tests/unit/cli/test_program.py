"""The program as it is started: what it imports, what it does with its streams."""

import os
import sys
from pathlib import Path
from typing import IO

import pytest

from icshare import __version__
from icshare.host import command

SOURCE = Path(__file__).parents[3] / "src"
ICSHARE = [sys.executable, "-m", "icshare.cli.main"]
ENVIRONMENT = {"PYTHONPATH": str(SOURCE), "PYTHONPYCACHEPREFIX": os.environ.get("PYTHONPYCACHEPREFIX", "")}


def _imported(*arguments: str) -> set[str]:
    done = command.run([sys.executable, "-X", "importtime", *ICSHARE[1:], *arguments], env=ENVIRONMENT, check=False)
    return {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}


def test_version_is_shown() -> None:
    done = command.run([*ICSHARE, "--version"], env=ENVIRONMENT)
    assert (done.stdout, done.stderr) == (f"icshare {__version__}\n", "")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--version"],
        ["list"],
        ["list", "--json"],
        ["share", "--dry-run", "x", "y"],
        ["map", "list"],
        ["firewall", "status"],
    ],
)
def test_nothing_slow_is_imported_that_a_pipe_does_not_need(arguments: list[str]) -> None:
    """Each of these takes 30 to 60 ms, and ``icshare list`` has 150 ms in all."""
    imported = _imported(*arguments)
    assert "icshare.cli.errors" in imported
    assert not imported & {"rich", "rich.console", "pydantic", "asyncio", "icshare.lab"}


def test_help_imports_no_machinery() -> None:
    assert not _imported("share", "--help") & {"icshare.api", "icshare.engine", "rich", "pydantic"}


def test_listing_connections_does_not_load_what_maps_ports() -> None:
    assert not _imported("list") & {"icshare.cli.map", "icshare.cli.firewall", "icshare.cli.schema"}


def test_bytes_that_are_no_utf_8_are_answered_as_any_bad_name() -> None:
    done = command.run([*ICSHARE, os.fsdecode(b"l\xffst")], env={**ENVIRONMENT, "LC_ALL": "C"}, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("icshare: there is no command 'l\\udcffst'\n")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_any_encoding_can_be_printed_in(encoding: str) -> None:
    environment = {**ENVIRONMENT, "PYTHONIOENCODING": encoding}
    done = command.run([*ICSHARE, "→é"], env=environment, check=False)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_a_closed_pipe_ends_it_without_a_word() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as pipe:
        assert _printed_into(pipe, "list") == (141, "")


def test_a_full_disk_is_told_of() -> None:
    with Path("/dev/full").open("wb") as full:
        assert _printed_into(full, "--version") == (
            1,
            "icshare: the result cannot be written: No space left on device\n",
        )


def test_closed_streams_are_no_bug() -> None:
    shell = ["sh", "-c", '"$@" >&- 2>&-', "sh", *ICSHARE, "--version"]
    assert command.run(shell, env=ENVIRONMENT, check=False).returncode == 0


def test_a_closed_standard_input_holds_no_passphrase() -> None:
    """Python gives no stream for it, which ended in a traceback."""
    words = ("share", "eth0", "wlan0", "--ssid", "home", "--passphrase-file", "-")
    done = command.run(["sh", "-c", '"$@" <&-', "sh", *ICSHARE, *words], env=ENVIRONMENT, check=False)
    assert (done.returncode, done.stderr.partition(":")[2].partition(":")[0]) == (
        2,
        " the first line of standard input is no passphrase",
    )


def _printed_into(stdout: IO[bytes], *arguments: str) -> tuple[int, str]:
    with command.start([*ICSHARE, *arguments], env=ENVIRONMENT, stdout=stdout, stderr=command.PIPE) as process:
        assert process.stderr is not None
        told = process.stderr.read().decode()
    return process.returncode, told
