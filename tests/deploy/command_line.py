"""Whether a `tidemark` command exists, asked of the command line's own parser; nothing is run."""

from collections.abc import Sequence

from typer import BadParameter
from typer.core import TyperGroup
from typer.main import get_command

from services.cli.main import app

WrongUse = BadParameter.__bases__[0]
"""What the parser raises of a command that it does not know, or that is given otherwise."""


def parse(arguments: Sequence[str]) -> str:
    """Return the path of the command, such as `tidemark topics create`.

    Raises:
        WrongUse: there is no such command, or it does not take these arguments.
    """
    command = get_command(app)
    context = command.make_context("tidemark", list(arguments))
    while isinstance(command, TyperGroup):
        name, found, rest = command.resolve_command(context, [*context._protected_args, *context.args])
        assert found is not None
        command = found
        context = command.make_context(name, rest, parent=context)
    return context.command_path
