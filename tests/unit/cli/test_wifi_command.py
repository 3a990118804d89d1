"""``icshare share --ssid`` and ``icshare wifi show``: what is asked for, what is shown to whom, what is kept."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.conftest import Golden
from tests.hosts import snapshot
from tests.unit.cli.machine import HOST, FakeManager, Machine

from icshare.cli import schema
from icshare.cli.sharing import _complete_band
from icshare.cli.summary import partners
from icshare.errors import HostError, PrivilegeError
from icshare.model.names import InterfaceName
from icshare.model.sharing import Sharing
from icshare.model.wifi import AccessPoint, Band, Country, Ssid, passphrase
from icshare.testing import FakeHost

SCREENS = Path(__file__).parent / "screens"
NEW = "abcd-efgh-jkmn-pqrs"
GIVEN = "correct horse battery"
SHARE = ("share", "wan0", "wlan0", "--ssid", "Gäste 5")


LINKS: list[Any] = [*HOST["links"], {"name": "wlan0", "radio": 0}, {"name": "wlan1", "radio": 1}]
RADIOS = [{"index": 0}, {"index": 1, "interfaces": 1}]


@pytest.fixture
def machine() -> Machine:
    """Give a machine with two radios."""
    return Machine(manager=FakeManager(host=FakeHost(snapshot({**HOST, "links": LINKS, "radios": RADIOS}))))


@pytest.fixture
def file(tmp_path: Path) -> str:
    """Give a file with a passphrase that only its owner can read."""
    path = tmp_path / "words"
    path.write_text(f"{GIVEN}\n", encoding="utf-8")
    path.chmod(0o600)
    return str(path)


def _present(machine: Machine) -> AccessPoint:
    access_point, _ = machine.manager.keys.present()
    return access_point


def test_a_new_passphrase_is_shown_once_with_its_code(machine: Machine, golden: Golden) -> None:
    first, second = machine(*SHARE), machine(*SHARE)
    assert (first.status, first.err, second.status) == (0, "", 0)
    golden(SCREENS / "share-wifi.txt", first.out)
    assert first.out.count(NEW) == 1
    assert NEW not in second.out
    assert "Nothing to do, already sharing" in second.out
    assert "icshare wifi show" in second.out


def test_what_is_asked_for_is_passed_on(machine: Machine, file: str) -> None:
    options = ("--band", "5", "--channel", "36", "--hidden", "--isolate", "--country", "de", "--passphrase-file", file)
    ran = machine("share", "wan0", "lan0", "wlan1", "--ssid", "x", *options)
    assert (ran.status, ran.err) == (0, "")
    assert _present(machine) == AccessPoint(
        interface=InterfaceName("wlan1"),
        ssid=Ssid("x"),
        secret=_present(machine).secret,
        band=Band.GHZ5,
        channel=36,
        hidden=True,
        isolated=True,
        country=Country("DE"),
    )
    assert machine.manager.keys.present()[1] == passphrase(GIVEN)
    assert GIVEN not in ran.out
    assert "x on wlan1, channel 36 (5180 MHz), not announced, clients kept apart" in ran.out


def test_a_passphrase_comes_from_standard_input(machine: Machine) -> None:
    machine.typed = f"{GIVEN}\nsomething else\n"
    assert machine(*SHARE, "--passphrase-file", "-").status == 0
    assert machine.manager.keys.present()[1] == passphrase(GIVEN)


def test_a_file_that_everybody_can_read_is_taken_and_noted(machine: Machine, file: str) -> None:
    Path(file).chmod(0o644)
    ran = machine(*SHARE, "--passphrase-file", file)
    assert ran.status == 0
    assert f"note: everybody on this machine can read {file}" in ran.out


@pytest.mark.parametrize("options", [["--hidden"], ["--band", "5", "--channel", "36"], ["--passphrase-file", "/none"]])
def test_options_of_an_access_point_need_its_name(machine: Machine, options: list[str]) -> None:
    ran = machine("share", "wan0", "lan0", *options)
    assert ran.status == 2
    assert "for an access point, which --ssid NAME asks for" in ran.err
    assert all(one in ran.err for one in options if one.startswith("--"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["share", "wan0", "lan0", "--ssid", "x"], "no Wi-Fi connection to make an access point of among lan0"),
        (["share", "wan0", "wlan0", "wlan1", "--ssid", "x"], "an access point has one radio"),
        ([*SHARE, "--band", "7"], "'7' is no band: 2.4, 5 or 6 (GHz)"),
        ([*SHARE, "--channel", "0"], "'0' is no channel: 1 to 233"),
        ([*SHARE, "--channel", "36.5"], "'36.5' is no channel"),
        ([*SHARE, "--channel", "\u0663"], "is no channel"),
        ([*SHARE, "--channel", "9" * 5000], "is no channel"),
        ([*SHARE, "--country", "Germany"], "'Germany' is not a country code"),
        ([*SHARE, "--passphrase-file", "/none"], "/none cannot be read: No such file"),
        ([*SHARE, "--passphrase-file", "-"], "the first line of standard input is no passphrase"),
        (["share", "wan0", "wlan0", "--ssid", "x" * 33], "is no name for a wireless network"),
        (["share", "wan0", "wlan0", "--ssid", ""], "is no name for a wireless network"),
        (["share", "wan0", "wlan0", "--ssid", "a\x1bb"], "is no name for a wireless network"),
    ],
)
def test_a_wrong_request_is_one_sentence(machine: Machine, arguments: list[str], words: str) -> None:
    ran = machine(*arguments)
    assert ran.status == 2
    assert words in ran.err
    assert machine.manager.passphrases.kept == {}


def test_a_sharing_that_fails_leaves_no_passphrase(machine: Machine) -> None:
    machine.manager.host.fail_at = 3
    assert machine(*SHARE).status == 1
    assert machine.manager.passphrases.kept == {}


def test_a_plan_keeps_no_passphrase_and_tells_none(machine: Machine, file: str) -> None:
    ran = machine(*SHARE, "--dry-run", "--passphrase-file", file)
    assert ran.status == 0
    assert GIVEN not in ran.out
    assert machine.manager.passphrases.kept == {}


def test_a_plan_of_what_is_so_already_takes_no_change(machine: Machine) -> None:
    machine(*SHARE)
    assert "would take no change" in machine(*SHARE, "--dry-run").out


def test_documents_tell_the_access_point_and_no_passphrase(machine: Machine) -> None:
    for arguments in ([*SHARE, "--band", "2.4", "--dry-run"], [*SHARE, "--band", "2.4"], ["status"]):
        ran = machine(*arguments, "--json")
        assert ran.status == 0
        assert NEW not in ran.out
        document = json.loads(ran.out)["access_point"]
        assert document == {
            "ssid": "Gäste 5",
            "interface": "ics-ap0",
            "band": "2.4",
            "channel": 1,
            "hidden": False,
            "isolated": False,
            "country": None,
            "note": "",
        }


def test_status_tells_the_access_point_and_no_passphrase(machine: Machine) -> None:
    machine(*SHARE, "--hidden")
    out = machine("status").out
    assert "Gäste 5 on ics-ap0, channel 1 (2412 MHz), not announced" in out
    assert NEW not in out


def test_who_may_not_change_what_is_shared_learns_it_before_anything_is_kept(machine: Machine) -> None:
    machine.manager.refusal = PrivilegeError("changing what is shared needs CAP_NET_ADMIN", hint="run it with sudo")
    assert machine(*SHARE).status == 3
    assert machine.manager.passphrases.kept == {}


def test_wifi_show_tells_name_passphrase_and_code(machine: Machine, golden: Golden) -> None:
    machine(*SHARE, "--hidden")
    ran = machine("wifi", "show")
    assert ran.status == 0
    golden(SCREENS / "wifi-show.txt", ran.out)
    document = msgspec.json.decode(machine("wifi", "show", "--json").out, type=schema.WifiDocument)
    assert (document.passphrase, document.security) == (NEW, "WPA2/WPA3")
    assert document.code == f"WIFI:T:WPA;S:Gäste 5;P:{NEW};H:true;;"
    assert (document.access_point.ssid, document.access_point.hidden) == ("Gäste 5", True)


def test_wifi_show_is_in_colour_on_a_terminal(machine: Machine) -> None:
    machine(*SHARE)
    machine.terminal = True
    assert "\x1b[97;40m█" in machine("wifi", "show").out


def test_an_access_point_on_the_radio_of_the_public_connection_is_named_by_its_network() -> None:
    wlan0, lan0 = InterfaceName("wlan0"), InterfaceName("lan0")
    beside = AccessPoint(interface=wlan0, ssid=Ssid("home"), secret="0" * 16)
    assert partners(Sharing(public=wlan0, privates=(), access_point=beside)) == "the access point home"
    assert partners(Sharing(public=wlan0, privates=(lan0,), access_point=beside)) == "lan0, the access point home"
    assert partners(Sharing(public=lan0, privates=(wlan0,), access_point=beside)) == "wlan0"


def test_an_access_point_is_made_beside_the_public_connection_of_the_same_radio(machine: Machine) -> None:
    ran = machine("share", "wlan0", "wlan0", "--ssid", "home")
    assert (ran.status, ran.err) == (0, "")
    assert ran.out.startswith("Sharing wlan0 with the access point home.\n")
    assert "Sharing wlan0 with the access point home for" in machine("status").out


def test_only_root_may_see_the_passphrase(machine: Machine) -> None:
    machine(*SHARE)
    machine.manager.passphrases.failure = PrivilegeError("may be read by root only", hint="run it with sudo")
    ran = machine("wifi", "show")
    assert (ran.status, ran.out) == (3, "")
    assert json.loads(machine("wifi", "show", "--json").out)["error"]["kind"] == "privilege"


def test_wifi_show_without_access_point_says_so(machine: Machine) -> None:
    ran = machine("wifi", "show")
    assert ran.status == 1
    assert "there is no access point" in ran.err


def test_a_damaged_store_is_one_error(machine: Machine) -> None:
    machine.manager.passphrases.failure = HostError("/var/lib/icshare/passphrases is damaged")
    ran = machine(*SHARE)
    assert (ran.status, ran.out) == (1, "")
    assert "passphrases is damaged" in ran.err


def test_bands_are_completed(machine: Machine) -> None:
    assert [_complete_band(None, text) for text in ("", "2", "7")] == [["2.4", "5", "6"], ["2.4"], []]  # type: ignore[arg-type]
    assert machine("share", "--help").status == 0
