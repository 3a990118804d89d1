"""How a command is put into a machine of its own."""

from icshare.lab import rootless


def test_only_a_user_needs_a_user_namespace() -> None:
    assert "--user" in rootless.inside_argv(["true"], root=False)
    assert "--user" not in rootless.inside_argv(["true"], root=True)


def test_the_command_is_never_text_of_the_shell() -> None:
    nasty = ["echo", "$(reboot)", "; reboot", "'"]
    argv = rootless.inside_argv(nasty, root=True)
    script = argv[argv.index("-c") + 1]
    assert argv[-4:] == nasty
    assert "reboot" not in script


def test_we_are_not_inside() -> None:
    assert not rootless.is_inside()
