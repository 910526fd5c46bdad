"""`tidemark schema`: the JSON Schemas of the events that Tidemark takes."""

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from services import directory, events


class Contract(StrEnum):
    """Which events."""

    USAGE = "usage"
    DIRECTORY = "directory"


def schema_text(contract: Contract = Contract.USAGE) -> str:
    """Return the schema as it is printed and committed."""
    json_schema = {Contract.USAGE: events.json_schema, Contract.DIRECTORY: directory.json_schema}[contract]
    return json.dumps(json_schema(), indent=2) + "\n"


def schema(
    contract: Annotated[Contract, typer.Argument(help="Of usage events or of directory events.")] = Contract.USAGE,
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Write it there instead.")] = None,
) -> None:
    """Print the JSON Schema of a usage event or of a directory event, for producers and their tests.

    Example: `tidemark schema directory --out directory-event.schema.json`
    """
    text = schema_text(contract)
    if out is None:
        typer.echo(text, nl=False)
        return
    try:
        out.write_text(text)
    except OSError as error:
        typer.echo(f"tidemark: cannot write {out}: {error.strerror}", err=True)
        raise typer.Exit(2) from error
