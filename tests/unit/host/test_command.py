"""Commands run without a shell, in a clean environment, and their failures say everything."""

import logging
import os
import signal
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icshare.errors import HostError, NotSupportedError
from icshare.host import command


def test_output_and_status_come_back_apart() -> None:
    done = command.run(["sh", "-c", "echo out; echo err >&2; exit 3"], check=False)
    assert (done.returncode, done.stdout, done.stderr) == (3, "out\n", "err\n")


def test_a_failure_carries_command_status_and_output() -> None:
    with pytest.raises(command.CommandError) as caught:
        command.run(["sh", "-c", "echo because >&2; exit 3"])
    error = caught.value
    assert isinstance(error, HostError)
    assert (error.argv[0], error.status, error.output) == ("sh", 3, "because\n")
    assert error.message == "sh -c 'echo because >&2; exit 3' failed with status 3: because"


def test_the_end_by_a_signal_is_a_negative_status() -> None:
    with pytest.raises(command.CommandError) as caught:
        command.run(["sh", "-c", "kill -KILL $$"])
    assert caught.value.status == -signal.SIGKILL


def test_input_reaches_the_command_and_is_empty_otherwise() -> None:
    assert command.run(["cat"], input="zwölf\n").stdout == "zwölf\n"
    assert command.run(["cat"]).stdout == ""


def test_undecodable_output_is_no_error() -> None:
    assert command.run(["printf", r"a\377b"]).stdout == "a�b"


def test_the_environment_is_ours_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    monkeypatch.setenv("ICSHARE_TEST", "leaked")
    assert command.run(["env"], env={"EXTRA": "1"}).stdout.split() == [
        f"PATH={command.PATH}",
        "LC_ALL=C.UTF-8",
        "EXTRA=1",
    ]


def test_the_users_own_commands_may_inherit_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ICSHARE_TEST", "inherited")
    process = command.start(["env"], env={"EXTRA": "1"}, inherit_environment=True, stdout=command.PIPE)
    output = process.communicate()[0].split()
    assert b"ICSHARE_TEST=inherited" in output
    assert b"EXTRA=1" in output


def test_a_program_is_not_searched_in_the_users_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "icshare-test-program"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(NotSupportedError):
        command.run(["icshare-test-program"])
    assert command.run([str(program)]).returncode == 0


def test_a_missing_program_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "PATH", "/nowhere")
    for start in (command.run, command.start, command.become):
        with pytest.raises(NotSupportedError, match="'dnsmasq'") as caught:
            start(["dnsmasq", "--version"])
        assert caught.value.hint is not None
        assert "dnsmasq-base" in caught.value.hint


def test_what_the_kernel_cannot_start_is_a_host_error(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text("not a program")
    program.chmod(0o755)
    for start in (command.run, command.start, command.become):
        with pytest.raises(HostError, match="cannot start"):
            start([str(program)])


def test_time_that_is_up_kills_the_command_and_keeps_its_words() -> None:
    with pytest.raises(command.CommandError, match="did not finish in time") as caught:
        command.run(["sh", "-c", "echo so far; exec sleep 100"], timeout=0.2)
    assert caught.value.status is None
    assert caught.value.output == "so far\n"


def test_ending_is_polite_at_first_and_then_not() -> None:
    polite = command.start(["sleep", "100"])
    assert command.end(polite) == -signal.SIGTERM
    stubborn = command.start(["sh", "-c", "trap '' TERM; echo; sleep 100 & wait; wait"], stdout=command.PIPE)
    assert stubborn.stdout is not None
    stubborn.stdout.readline()
    group = os.getpgid(stubborn.pid)
    assert command.end(stubborn, grace=0.1) == -signal.SIGKILL
    os.killpg(group, signal.SIGKILL)  # the sleep that it left behind
    assert command.end(stubborn) == -signal.SIGKILL


def test_becoming_replaces_the_process_and_keeps_its_environment() -> None:
    code = "from icshare.host import command; command.become(['sh', '-c', 'echo $$ $ICSHARE_TEST'])"
    source = str(Path(command.__file__).parents[2])
    process = command.start(
        [sys.executable, "-c", code], env={"PYTHONPATH": source, "ICSHARE_TEST": "kept"}, stdout=command.PIPE
    )
    assert process.communicate()[0].decode().split() == [str(process.pid), "kept"]


@given(
    st.lists(st.text(st.characters(exclude_characters="\0", codec="utf-8")), max_size=4),
    st.one_of(st.none(), st.text(st.characters(exclude_characters="\0", codec="utf-8"))),
)
def test_the_line_for_a_terminal_says_exactly_what_runs(arguments: list[str], text: str | None) -> None:
    code = "import os, sys; os.write(1, b'|'.join([*map(os.fsencode, sys.argv[1:]), sys.stdin.buffer.read()]))"
    line = command.describe([sys.executable, "-IS", "-c", code, *arguments], env={"A": "x y"}, text=text)
    assert command.run(["sh", "-c", line]).stdout == "|".join([*arguments, text or ""])


def test_each_command_is_logged_before_it_runs(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, logger="icshare.host.command"):
        command.run(["printf", "%s", "a b"], env={"X": "1 2"})
    assert caplog.messages == ["X='1 2' printf %s 'a b'"]
