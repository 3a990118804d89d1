"""Sockets and logins, from recorded proc trees."""

import os
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icshare.host.sockets import Flow, PortOwner, SshLogin, established_flows, port_owners, ssh_login

HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
TCP = HEAD + (
    "   0: 3500007F:0035 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1001 1 0 100 0\n"
    "   1: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1002 1 0 100 0\n"
    "   2: 016433C6:0016 097100CB:C350 01 00000000:00000000 02:00000000 00000000     0        0 1003 4 0 20 4\n"
    "   3: 0100007F:8000 0100007F:0035 01 00000000:00000000 00:00000000 00000000     0        0 1004 1 0 20 4\n"
    "   4: 016433C6:8001 097100CB:01BB 06 00000000:00000000 03:00000000 00000000     0        0 0 3 0\n"
    "   5: 016433C6:8002 097100CB:01BB 08 00000000:00000000 00:00000000 00000000     0        0 1005 1 0 20 4\n"
)
TCP6 = HEAD + (
    "   0: 00000000000000000000000000000000:0035 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000"
    " 00000000     0        0 1006 1 0 100 0\n"
    "   1: 0000000000000000FFFF0000016433C6:0016 0000000000000000FFFF0000097100CB:C351 01 00000000:00000000 00:00000000"
    " 00000000     0        0 1007 1 0 20 4\n"
    "   2: B80D0120000000000000000001000000:0016 B80D0120000000000000000002000000:C352 01 00000000:00000000 00:00000000"
    " 00000000     0        0 1008 1 0 20 4\n"
)
UDP = HEAD.replace("inode", "inode ref pointer drops") + (
    "  12: 00000000:0043 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 2001 2 0 0\n"
    "  13: 016433C6:9C40 097100CB:01BB 01 00000000:00000000 00:00000000 00000000     0        0 2002 2 0 0\n"
    "  14: 016433C6:0043 097100CB:0044 01 00000000:00000000 00:00000000 00000000     0        0 2003 2 0 0\n"
)


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """Give a proc tree with sockets of IPv4 and IPv6, and no process that owns one."""
    (tmp_path / "net").mkdir()
    for name, text in (("tcp", TCP), ("tcp6", TCP6), ("udp", UDP)):
        (tmp_path / "net" / name).write_text(text, encoding="ascii")
    return tmp_path


def add_process(proc: Path, pid: int, program: str, *inodes: int, parent: int = 1) -> None:
    directory = proc / str(pid)
    (directory / "fd").mkdir(parents=True)
    (directory / "comm").write_text(f"{program}\n", encoding="ascii")
    (directory / "stat").write_text(f"{pid} ({program}) S {parent} " + "0 " * 17 + "5 0 0", encoding="ascii")
    (directory / "fd" / "0").symlink_to("/dev/null")
    for number, inode in enumerate(inodes, start=3):
        (directory / "fd" / str(number)).symlink_to(f"socket:[{inode}]")


def no_devices(_: str) -> dict[int, str]:
    return {}


def test_a_port_has_the_owner_that_holds_its_socket(proc: Path) -> None:
    add_process(proc, 500, "systemd-resolve", 1001)
    add_process(proc, 600, "named", 1006)
    assert port_owners(53, "tcp", proc=proc, devices=no_devices) == (
        PortOwner(address=IPv4Address("127.0.0.53"), port=53, protocol="tcp", pid=500, program="systemd-resolve"),
        PortOwner(address=IPv6Address("::"), port=53, protocol="tcp", pid=600, program="named"),
    )


def test_a_socket_bound_to_a_link_names_it(proc: Path) -> None:
    add_process(proc, 500, "dnsmasq", 2001)
    (owner,) = port_owners(67, "udp", proc=proc, devices=lambda protocol: {2001: f"virbr0-{protocol}"})
    assert (owner.program, owner.device, owner.address) == ("dnsmasq", "virbr0-udp", IPv4Address("0.0.0.0"))


def test_an_owner_that_cannot_be_seen_is_unknown(proc: Path) -> None:
    (owner,) = port_owners(22, "tcp", proc=proc, devices=no_devices)
    assert (owner.pid, owner.program) == (None, None)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every directory")
def test_descriptors_of_another_user_are_no_error(proc: Path) -> None:
    add_process(proc, 500, "secret", 1002)
    (proc / "500" / "fd").chmod(0)
    (owner,) = port_owners(22, "tcp", proc=proc, devices=no_devices)
    assert owner.pid is None


def test_a_process_that_goes_while_it_is_looked_at_is_no_error(proc: Path) -> None:
    (proc / "400").mkdir()
    add_process(proc, 500, "sshd", 1002)
    assert port_owners(22, "tcp", proc=proc, devices=no_devices)[0].pid == 500


def test_the_first_process_holds_sockets_for_others(proc: Path) -> None:
    add_process(proc, 1, "systemd", 1002)
    add_process(proc, 700, "sshd", 1002)
    add_process(proc, 701, "sshd", 1002)
    assert port_owners(22, "tcp", proc=proc, devices=no_devices)[0].pid == 700


def test_a_connected_socket_serves_nobody(proc: Path) -> None:
    assert [owner.address for owner in port_owners(67, "udp", proc=proc, devices=no_devices)] == [IPv4Address(0)]
    assert port_owners(0x8002, "tcp", proc=proc, devices=no_devices) == ()


def test_nothing_else_is_asked_when_a_port_is_free(proc: Path) -> None:
    def fail(_: str) -> dict[int, str]:
        pytest.fail("the kernel was asked for devices")

    assert port_owners(9, "tcp", proc=proc, devices=fail) == ()


def test_flows_are_what_may_still_carry_data(proc: Path) -> None:
    here, there = IPv4Address("198.51.100.1"), IPv4Address("203.0.113.9")
    assert established_flows(proc=proc) == (
        Flow(protocol="tcp", local=here, local_port=22, remote=there, remote_port=50000),
        Flow(protocol="tcp", local=here, local_port=0x8002, remote=there, remote_port=443),
        Flow(protocol="tcp", local=here, local_port=22, remote=there, remote_port=50001),
        Flow(
            protocol="tcp",
            local=IPv6Address("2001:db8::1"),
            local_port=22,
            remote=IPv6Address("2001:db8::2"),
            remote_port=50002,
        ),
        Flow(protocol="udp", local=here, local_port=40000, remote=there, remote_port=443),
        Flow(protocol="udp", local=here, local_port=67, remote=there, remote_port=68),
    )


def test_a_kernel_without_ipv6_has_the_rest(proc: Path) -> None:
    (proc / "net" / "tcp6").unlink()
    assert len(established_flows(proc=proc)) == 4


@given(text=st.text(alphabet="0123456789ABCDEFx: \n", max_size=200))
def test_lines_that_make_no_sense_are_passed_over(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    proc = tmp_path_factory.mktemp("proc")
    (proc / "net").mkdir()
    (proc / "net" / "tcp").write_text(HEAD + text, encoding="ascii")
    assert established_flows(proc=proc) == ()


LOGIN = SshLogin(
    client=IPv4Address("203.0.113.9"), client_port=50000, server=IPv4Address("198.51.100.1"), server_port=22
)
VARIABLE = "203.0.113.9 50000 198.51.100.1 22"


def test_the_login_is_in_our_environment(proc: Path) -> None:
    assert ssh_login(environment={"SSH_CONNECTION": VARIABLE}, proc=proc) == LOGIN


def test_the_login_is_in_an_ancestors_environment_when_sudo_dropped_it(proc: Path) -> None:
    for pid, parent, environment in (
        (30, 20, "A=b\0"),
        (20, 10, ""),
        (10, 1, f"X=y\0SSH_CONNECTION={VARIABLE}\0Z=z\0"),
    ):
        add_process(proc, pid, "x", parent=parent)
        (proc / str(pid) / "environ").write_bytes(environment.encode())
    (proc / "20" / "environ").unlink()
    (proc / "self").symlink_to("30")
    assert ssh_login(environment={}, proc=proc) == LOGIN


def test_somebody_at_the_console_has_no_login(proc: Path) -> None:
    add_process(proc, 30, "x", parent=0)
    (proc / "30" / "environ").write_bytes(b"NOT_SSH_CONNECTION=1 2 3 4\0SSH_CONNECTION_X=\0")
    (proc / "self").symlink_to("30")
    assert ssh_login(environment={}, proc=proc) is None


def test_a_login_over_ipv6_is_told_by_its_address_alone(proc: Path) -> None:
    login = ssh_login(environment={"SSH_CONNECTION": "fe80::2%eth0 50000 fe80::1%eth0 2222"}, proc=proc)
    assert login is not None
    assert (login.client, login.server, login.server_port) == (IPv6Address("fe80::2"), IPv6Address("fe80::1"), 2222)


def test_a_mapped_address_is_an_ipv4_address(proc: Path) -> None:
    text = "::ffff:203.0.113.9 50000 ::ffff:198.51.100.1 22"
    assert ssh_login(environment={"SSH_CONNECTION": text}, proc=proc) == LOGIN


@pytest.mark.parametrize(
    "text", ["", "1 2 3", "a 1 b 2", "203.0.113.9 0 198.51.100.1 22", "203.0.113.9 1 198.51.100.1 ²"]
)
def test_a_variable_that_makes_no_sense_is_no_login(proc: Path, text: str) -> None:
    assert ssh_login(environment={"SSH_CONNECTION": text}, proc=proc) is None


@given(st.text(max_size=60))
def test_no_variable_breaks_the_login(text: str) -> None:
    ssh_login(environment={"SSH_CONNECTION": text}, proc=Path("/nonexistent"))
