"""Commands that are imported when they are needed, and parsed without what they do not need.

``icshare list`` has to answer within 150 ms. Two things would use that up before it begins: importing every command,
and typer's import of pydantic (60 ms), by which it converts parameters to the types of their annotations. Ours are
flags and texts, which the parser yields as they are; parameters of other types are still converted by typer.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from icshare.cli.errors import CancelledError
from icshare.cli.output import PipeClosedError
from icshare.cli.signals import SIGINT
from icshare.errors import InvalidRequestError

_READY = {bool, str, list[str]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Lazy:
    """Where a command is found.

    Attributes:
        module: The module that holds it.
        name: What holds it there: the command's function, or a `typer.Typer` with commands of its own.
    """

    module: str
    name: str


class _AsParsed:
    """Takes values as the parser yields them."""

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:  # noqa: ANN401, ARG002 (typer's signature)
        return value


_AS_PARSED = _AsParsed()


def _without_conversion(parameters: list[Any]) -> list[Any]:
    for parameter in parameters:
        if parameter.type_descriptor.annotation in _READY or getattr(parameter, "count", False):
            parameter.get_runtime_param = lambda: _AS_PARSED
    return parameters


class Command(TyperCommand):
    """A command that is parsed without pydantic, and whose help names arguments as the manual does."""

    def get_params(self, ctx: Any) -> list[Any]:  # noqa: ANN401 (the class is private to typer)
        """Return the parameters."""
        return _without_conversion(super().get_params(ctx))

    def collect_usage_pieces(self, ctx: Any) -> list[str]:  # noqa: ANN401 (the class is private to typer)
        """Return the words of the usage line."""
        return ["[OPTIONS]", *(_usage(one) for one in self.get_params(ctx) if one.param_type_name == "argument")]

    def format_options(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401 (the classes are private to typer)
        """Write the sections on arguments and options."""
        parameters = self.get_params(ctx)
        arguments = [(one.metavar, one.help or "") for one in parameters if one.param_type_name == "argument"]
        if arguments:
            with formatter.section("Arguments"):
                formatter.write_dl(arguments)
        options = [one.get_help_record(ctx) for one in parameters if one.param_type_name == "option"]
        with formatter.section("Options"):
            formatter.write_dl([one for one in options if one is not None])


def _usage(argument: Any) -> str:  # noqa: ANN401 (the class is private to typer)
    name = argument.metavar + ("..." if argument.nargs != 1 else "")
    return name if argument.required else f"[{name}]"


class Group(TyperGroup):
    """A group of commands that is parsed without pydantic, and says what is close to a command that there is not."""

    def get_params(self, ctx: Any) -> list[Any]:  # noqa: ANN401 (the class is private to typer)
        """Return the parameters."""
        return _without_conversion(super().get_params(ctx))

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:  # noqa: ANN401 (as above)
        """Find the command that is called.

        Raises:
            InvalidRequestError: There is none of that name.
        """
        if self.get_command(ctx, args[0]) is None and not args[0].startswith("-") and not ctx.resilient_parsing:
            close = get_close_matches(args[0], self.list_commands(ctx), n=1)
            hint = f"did you mean {close[0]}?" if close else f"{ctx.command_path} --help shows all commands"
            raise InvalidRequestError(f"there is no command {args[0]!r}", hint=hint)
        return super().resolve_command(ctx, args)


class App(typer.Typer):
    """A command with commands of its own, all of them of class `Command`."""

    def __init__(self, **settings: Any) -> None:  # noqa: ANN401 (typer's settings)
        super().__init__(
            cls=Group, add_completion=False, rich_markup_mode=None, subcommand_metavar="COMMAND ...", **settings
        )

    def command(self, name: str | None = None, **settings: Any) -> Any:  # noqa: ANN401 (typer's decorator)
        """Register a function as a command."""
        return super().command(name, cls=Command, **settings)


class LazyGroup(Group):
    """A group of commands that are imported when they are needed."""

    commands_by_name: Mapping[str, Lazy] = {}

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ANN401, ARG002 (the class is private to typer)
        """Return the names, in the order of the table."""
        return list(self.commands_by_name)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ANN401, ARG002 (the class is private to typer)
        """Import a command; None when there is none of that name."""
        if cmd_name not in self.commands:
            lazy = self.commands_by_name.get(cmd_name)
            if lazy is None:
                return None
            found = getattr(import_module(lazy.module), lazy.name)
            self.commands[cmd_name] = found_command(found, cmd_name)
        return self.commands[cmd_name]

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401 (the class is private to typer)
        """Run the command; what typer would deal with in its own way leaves as an error of ours."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            raise CancelledError("interrupted", SIGINT) from error
        except BrokenPipeError as error:
            raise PipeClosedError from error


def found_command(found: Any, name: str) -> Any:  # noqa: ANN401 (typer's commands are private to it)
    """Return the command that a function or a `typer.Typer` describes."""
    if isinstance(found, typer.Typer):
        command: Any = get_command(found)
        command.name = name
        return command
    app = App()
    app.command(name)(found)
    return get_command(app)
