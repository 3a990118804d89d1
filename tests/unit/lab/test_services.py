"""What the lab's servers answer, without a socket."""

import json
from pathlib import Path

import pytest

from icshare.lab import services


@pytest.mark.parametrize(
    ("target", "size"), [("/bytes/0", 0), ("/bytes/17", 17), ("/bytes/007", 7), (f"/bytes/{1 << 40}", 1 << 40)]
)
def test_a_number_of_bytes_can_be_asked_for(target: str, size: int) -> None:
    assert services.wanted_bytes(target) == size


@pytest.mark.parametrize(
    "target",
    [
        "/",
        "",
        "/bytes",
        "/bytes/",
        "/bytes/x",
        "/bytes/-1",
        "/bytes/+1",
        "/bytes/1/2",
        "/bytes/²",
        "/bytes/٣",
        "/byte/1",
        f"/bytes/{(1 << 40) + 1}",
        "/bytes/" + "9" * 5000,
    ],
)
def test_everything_else_is_not_there(target: str) -> None:
    assert services.wanted_bytes(target) is None


def test_a_client_is_told_where_it_came_from() -> None:
    assert services.greeting(("192.0.2.1", 5)) == b"192.0.2.1 5\n"
    assert services.hello(("192.0.2.1", 5)).endswith(b"You came from 192.0.2.1, port 5.\n")


def test_the_log_is_a_line_of_json_for_each_client(tmp_path: Path) -> None:
    log = services.Log(str(tmp_path / "log"))
    log.seen("web", ("192.0.2.1", 5), 'GET /"\n')
    log.seen("echo-udp", ("192.0.2.2", 6), "")
    log.close()
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert lines == [
        {"service": "web", "source": "192.0.2.1", "port": 5, "detail": 'GET /"\n'},
        {"service": "echo-udp", "source": "192.0.2.2", "port": 6, "detail": ""},
    ]
