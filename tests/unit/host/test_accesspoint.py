"""What can be said of our hostapd where none runs; that it serves is shown in the virtual machine."""

import sys
from pathlib import Path

import pytest

from icshare.errors import ConflictError, HostError, NotSupportedError
from icshare.host import command
from icshare.host.accesspoint import AccessPointService, NoPassphrases, refusal
from icshare.model.names import InterfaceName
from icshare.model.wifi import Passphrase, passphrase
from icshare.plan.steps import StartAccessPoint

WLAN = InterfaceName("wlan0")
STEP = StartAccessPoint(link=WLAN, text="interface=wlan0\n", secret="0123456789abcdef", networkmanager=True)


def test_where_nothing_runs_nothing_is_found_and_ending_it_is_no_error(tmp_path: Path) -> None:
    service = AccessPointService(tmp_path, NoPassphrases())
    assert service.running({"wlan0"}) is None
    (tmp_path / "hostapd").mkdir()
    (tmp_path / "hostapd" / "wlan0").touch()
    for name in ("hostapd-0123456789abcdef.conf", "hostapd.pid", "hostapd.log"):
        (tmp_path / name).touch()
    service.stop()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("name", "ours"), [("hostapd", True), ("less", False)])
def test_what_only_has_arguments_like_ours_is_left_alone(tmp_path: Path, name: str, ours: bool) -> None:
    """``less -B`` with the configuration was taken for our hostapd, and ended by the next stop."""
    service = AccessPointService(tmp_path, NoPassphrases())
    path = tmp_path / "hostapd-ics-ap0-0123456789abcdef.conf"
    path.write_text("import time\nprint(flush=True)\ntime.sleep(60)\n", encoding="utf-8")
    program = tmp_path / name
    program.symlink_to(sys.executable)
    process = command.start([str(program), "-B", "-P", "-s", "-u", "-E", str(path)], stdout=command.PIPE)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"\n"
        assert service.running({"ics-ap0"}) == ("0123456789abcdef" if ours else None)
        assert service.running({"wlan0"}) is None
        service.stop()
        assert (process.poll() is None) != ours
    finally:
        command.end(process)


def test_without_its_passphrase_nothing_is_begun(tmp_path: Path) -> None:
    service = AccessPointService(tmp_path, NoPassphrases())
    for act in (service.check, service.start):
        with pytest.raises(ConflictError, match="not kept on this machine any more"):
            act(STEP)
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_takes_no_file_is_an_error_of_the_machine(tmp_path: Path) -> None:
    """It was a bare OSError, a bug to the command line, and the end of a rollback half-way."""
    service = AccessPointService(tmp_path / "gone", Words())
    with pytest.raises(HostError, match="cannot be written: No such file"):
        service.start(STEP)


class Words:
    """Keeps one passphrase."""

    def find(self, secret: str) -> Passphrase | None:  # noqa: ARG002 (the protocol's signature)
        return passphrase("correct horse battery")


@pytest.mark.parametrize(
    ("said", "reason", "kind"),
    [
        ("rfkill: WLAN soft blocked", "its radio is switched off", HostError),
        ("wlan0: IEEE 802.11 Configured channel (14) not found from the channel list", "take the channel", HostError),
        ("Channel 149 (primary) not allowed for AP mode, flags: 0x853 NO-IR", "take the channel", HostError),
        ("Failed to set beacon parameters", "beside what its radio does already", HostError),
        ("Failed to set country code", "the country could not be set", HostError),
        ("Could not set interface wlan0 flags (UP): No such file or directory", "firmware", HostError),
        ("nl80211: Could not configure driver mode", "makes no access point of this link", HostError),
        ("Line 18: invalid key_mgmt 'SAE'", "built without WPA3", NotSupportedError),
        ("Line 3: unknown configuration item 'ieee80211ax'", "too old", NotSupportedError),
    ],
)
def test_hostapds_own_words_become_one_reason(said: str, reason: str, kind: type[Exception]) -> None:
    found = refusal(WLAN, f"wlan0: something before\n{said}\nwlan0: AP-DISABLED\n", HostError("hostapd failed"))
    assert type(found) is kind
    assert found.message.startswith("there can be no access point on wlan0: ")
    assert reason in found.message
    assert f"(hostapd: {said})" in found.message


def test_other_words_are_passed_on() -> None:
    found = refusal(WLAN, "\nsomething odd\n", HostError("hostapd does not answer\nat all"))
    assert found.message == "there can be no access point on wlan0: hostapd does not answer (hostapd: something odd)"
    assert refusal(WLAN, "", HostError("no words")).message == "there can be no access point on wlan0: no words"
