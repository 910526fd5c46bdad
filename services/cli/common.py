"""What the commands share: how they find a pipeline, and how they print."""

import asyncio
import sys
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from services.environment import adopt
from services.pipeline_state import read_state
from services.settings import Settings
from services.settings_loading import load_settings
from services.windows import to_ms

Result = TypeVar("Result")

UNKNOWN = "unknown"
"""Stands in a table where JSON has null."""

StateFile = Annotated[
    Path | None,
    typer.Option(
        "--state-file",
        metavar="F",
        help="Find the pipeline by the file that `tidemark up --state-file F` wrote; TIDEMARK_* variables win over it.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


def settings_for(state_file: Path | None, overrides: Mapping[str, Any] | None = None) -> Settings:
    """Return the settings of this command: the process's own variables, then those of the state file.

    Raises:
        WrongSettings, NoPipeline: they cannot be used; the text is for the person who called.
    """
    if state_file is not None:
        adopt(read_state(state_file).environment)
    return load_settings(overrides)


def run(work: Coroutine[Any, Any, Result]) -> Result:
    return asyncio.run(work)


def write_json(value: object) -> None:
    """Print a value as one line of JSON."""
    typer.echo(msgspec.json.encode(value).decode())


def write_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print rows under columns; numbers to the right, None as `unknown`."""
    console().print(table_of(title, columns, rows), markup=False)


def table_of(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    """Return the table that `write_table` prints."""
    table = Table(title=title, title_justify="left", header_style="bold")
    cells = [list(row) for row in rows]
    for place, column in enumerate(columns):
        numbers = cells and all(isinstance(row[place], int | float | None) for row in cells)
        table.add_column(column, justify="right" if numbers else "left", overflow="fold")
    for row in cells:
        table.add_row(*[UNKNOWN if value is None else str(value) for value in row])
    return table


def instant_ms(text: str) -> int:
    """Return the instant that an option names, UTC where it does not say.

    Raises:
        typer.BadParameter: it names none.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is no time such as 2026-08-22T08:00:00Z") from error
    return to_ms(moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC))


def console() -> Console:
    """Return a console on standard output that does not cut tables to 80 columns where no terminal says how wide."""
    return Console(width=None if sys.stdout.isatty() else 200, highlight=False)


def say(line: str) -> None:
    """Print one line at once, so that a pipe's reader sees it when it happens."""
    typer.echo(line)
    sys.stdout.flush()


def complain(line: str) -> None:
    """Print one line on standard error."""
    typer.echo(line, err=True)
