"""The manual pages are made from the command line and are current."""

from pathlib import Path

import msgspec
import pytest
from tests.conftest import Golden

from icshare.cli import man
from icshare.host import command
from icshare.model import settings

PAGES = Path(__file__).parents[3] / "data" / "man"


def test_the_page_of_the_command_is_current(golden: Golden) -> None:
    golden(PAGES / "icshare.1", man.command_page())


def test_the_page_of_the_settings_is_current(golden: Golden) -> None:
    golden(PAGES / "icshare.toml.5", man.settings_page())


def test_the_page_of_the_settings_knows_every_key() -> None:
    def keys(kind: object, prefix: str) -> list[str]:
        found = []
        for one in msgspec.structs.fields(kind):  # type: ignore[arg-type]
            inner = _struct_in(one.type)
            step = "link.NAME" if one.name == "link" else prefix + one.name
            found += keys(inner, f"{step}.") if inner is not None else [step]
        return found

    assert list(man.SETTINGS) == keys(settings._File, "")


def test_every_command_and_option_is_described() -> None:
    page = man.command_page().replace("\\-", "-")
    for words in (
        "share PUBLIC PRIVATE...",
        "lab exec NODE COMMAND...",
        "map add NAME PROTOCOL",
        "--dry-run",
        "--no-firewall",
        "--all",
    ):
        assert words in page


@pytest.mark.parametrize("name", ["icshare.1", "icshare.toml.5"])
def test_the_page_is_good_roff(name: str) -> None:
    done = command.run(["groff", "-ww", "-man", "-Tutf8", str(PAGES / name)])
    assert done.stderr == ""


def _struct_in(kind: object) -> object | None:
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return kind
    return next((found for one in getattr(kind, "__args__", ()) if (found := _struct_in(one)) is not None), None)
