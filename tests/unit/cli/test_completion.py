"""Shells complete the names of connections."""

import pytest
from tests.unit.cli.machine import Machine, failing

from icshare.errors import HostError, IcshareError


def _completed(
    machine: Machine, line: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> list[str]:
    words = line.split(" ")
    monkeypatch.setenv("_ICSHARE_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", line)
    monkeypatch.setenv("COMP_CWORD", str(len(words) - 1))
    with pytest.raises(SystemExit) as ended:
        machine()
    assert ended.value.code == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    return captured.out.split()


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("icshare s", ["share", "status", "stop"]),
        ("icshare share ", ["auto", "wan0", "lan0", "lan1"]),
        ("icshare share l", ["lan0", "lan1"]),
        ("icshare share wan0 ", ["lan0", "lan1", "br7"]),
        ("icshare share wan0 lan0 ", ["lan1", "br7"]),
        ("icshare share --dry-run wan0 lan1 lan", ["lan0"]),
        ("icshare share --no", ["--no-firewall"]),
    ],
)
def test_names_that_fit_are_offered(
    line: str, expected: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert _completed(Machine(), line, capsys, monkeypatch) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("icshare map e", ["enable"]),
        ("icshare map remove ", ["web", "dns", "games"]),
        ("icshare map enable ", ["dns"]),
        ("icshare map disable ", ["web", "games"]),
        ("icshare map set w", ["web"]),
        ("icshare map add ssh tcp 22 10.7.0.9 --connection l", ["lan0", "lan1"]),
        ("icshare firewall on ", ["lan0", "lan1", "br7", "port7"]),
        ("icshare firewall off ", ["wan0"]),
        ("icshare firewall set ", ["wan0"]),
        ("icshare firewall set wan0 --icmp inbound-t", ["inbound-timestamp-request"]),
        ("icshare firewall set wan0 --icmp n", ["none"]),
    ],
)
def test_mappings_and_firewalls_that_fit_are_offered(
    line: str, expected: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = Machine()
    assert machine("share", "wan0", "lan0").status == 0
    for name, *options in (["web"], ["dns", "--disabled"], ["games"]):
        port = f"{8000 + len(machine.manager.mappings.known)}"
        assert machine("map", "add", name, "tcp", port, "192.168.137.9", *options).status == 0
    assert _completed(machine, line, capsys, monkeypatch) == expected


@pytest.mark.parametrize("line", ["icshare map remove ", "icshare firewall on ", "icshare firewall off "])
def test_neither_mappings_nor_firewalls_are_offered_when_the_host_cannot_be_read(
    line: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert _completed(failing(HostError("no netlink")), line, capsys, monkeypatch) == []


@pytest.mark.parametrize("error", [HostError("no netlink"), IcshareError("anything")])
def test_nothing_is_offered_when_the_host_cannot_be_read(
    error: IcshareError, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert _completed(failing(error), "icshare share wan0 ", capsys, monkeypatch) == []
