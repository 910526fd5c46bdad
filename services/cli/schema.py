"""`tidemark schema`: the JSON Schema of a usage event."""

import json
from pathlib import Path
from typing import Annotated

import typer

from services.events import json_schema


def schema_text() -> str:
    """Return the schema as it is printed and committed."""
    return json.dumps(json_schema(), indent=2) + "\n"


def schema(
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Write it there instead.")] = None,
) -> None:
    """Print the JSON Schema of a usage event, for producers and their tests.

    Example: `tidemark schema --out usage-event.schema.json`
    """
    if out is None:
        typer.echo(schema_text(), nl=False)
        return
    try:
        out.write_text(schema_text())
    except OSError as error:
        typer.echo(f"tidemark: cannot write {out}: {error.strerror}", err=True)
        raise typer.Exit(2) from error
