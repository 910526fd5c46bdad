"""`tidemark counters export|show`: what stands in the counters."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, TextIO

import typer

from services.cell_rows import CellRow, KeptFrom, kept_from, row_lines, row_members
from services.cli.common import AsJson, StateFile, instant_ms, run, say, settings_for, write_json, write_table
from services.clock import now_ms
from services.export import export_rows, read_cell
from services.identifiers import OrganizationId, TeamId, UserId
from services.keyspace import Scope
from services.settings import Settings
from services.stores import open_store
from services.windows import DAY_MS, HOUR_MS, Window, day_of, hour_of, rfc3339

app = typer.Typer(no_args_is_help=True, help="Look at the counters.")


@app.command()
def export(
    organization: Annotated[str | None, typer.Option(metavar="ID", help="Only this organization's cells.")] = None,
    out: Annotated[
        Path, typer.Option(metavar="FILE|-", help="Where to; - is standard output.", allow_dash=True)
    ] = Path("-"),
    state_file: StateFile = None,
) -> None:
    """Write all counters as NDJSON, one row a cell, sorted by organization, team, user, window and start.

    Organization rows have team and user null, team rows user null, user rows team null. A product is there once it
    has an event in the cell. Let the pipeline catch up first: the export is not one instant's picture.

    Example: `tidemark wait --caught-up && tidemark counters export --out counters.ndjson`
    """
    only = None if organization is None else OrganizationId(organization)
    run(_export(settings_for(state_file), only, out))


@app.command()
def show(
    organization: Annotated[str, typer.Option(metavar="ID", help="The organization.", show_default=False)],
    window: Annotated[Window, typer.Option(help="The kind of window.", show_default=False)],
    start: Annotated[
        str, typer.Option(metavar="RFC3339", help="An instant in the window, say its start.", show_default=False)
    ],
    team: Annotated[str | None, typer.Option(metavar="ID", help="Only this team's part.")] = None,
    user: Annotated[str | None, typer.Option(metavar="ID", help="Only this user's part.")] = None,
    state_file: StateFile = None,
    as_json: AsJson = False,
) -> None:
    """Print one cell: what was counted in an hour or a day for an organization, a team or a user.

    Example: `tidemark counters show --organization acme --window hour --start 2026-08-22T08:00:00Z`
    """
    if team is not None and user is not None:
        raise typer.BadParameter("give --team or --user: there are no counters of a user within a team")
    scope = Scope(
        organization=OrganizationId(organization),
        team=None if team is None else TeamId(team),
        user=None if user is None else UserId(user),
    )
    number = (hour_of if window is Window.HOUR else day_of)(instant_ms(start))
    row = run(_read(settings_for(state_file), scope, window, number))
    if row is None:
        say("nothing was counted in that window, or it is no longer kept")
        raise typer.Exit(1)
    if as_json:
        write_json(row_members(row))
    else:
        _print(row)


async def _export(settings: Settings, organization: OrganizationId | None, out: Path) -> None:
    with _target(out) as file:
        async with open_store(settings) as store:
            partitions = settings.topics.frames_partitions
            async for rows in export_rows(store, partitions, _kept(settings), organization):
                file.write("".join(f"{line}\n" for line in row_lines(rows)))


@contextmanager
def _target(out: Path) -> Iterator[TextIO]:
    """Open what is written to; a file is there whole or not at all."""
    if str(out) == "-":
        yield typer.get_text_stream("stdout", encoding="utf-8")
        return
    draft = out.with_name(f"{out.name}.new")
    try:
        with draft.open("w", encoding="utf-8") as file:
            yield file
        draft.replace(out)
    except OSError as error:
        raise typer.BadParameter(f"--out {out}: {error.strerror or error}") from error
    finally:
        draft.unlink(missing_ok=True)


async def _read(settings: Settings, scope: Scope, window: Window, number: int) -> CellRow | None:
    async with open_store(settings) as store:
        return await read_cell(store, settings.topics.frames_partitions, scope, window, number, _kept(settings))


def _kept(settings: Settings) -> KeptFrom:
    events = settings.events
    return kept_from(now_ms(), keep_hours_s=events.keep_hours, keep_days_s=events.keep_days)


def _print(row: CellRow) -> None:
    length_ms = HOUR_MS if row.window is Window.HOUR else DAY_MS
    start_ms = row.number * length_ms
    who = "".join(f", {kind} {name}" for kind, name in (("team", row.scope.team), ("user", row.scope.user)) if name)
    say(f"organization {row.scope.organization}{who}")
    say(f"{row.window.value} from {rfc3339(start_ms)} to {rfc3339(start_ms + length_ms)}, in UTC")
    cells: list[tuple[str, str, object]] = [("any", "activeUsers", row.active_users)]
    for each in row.products:
        cells.append((each.product.name, "activeUsers", each.active_users))
        cells += [("", name, value) for name, value in zip(each.product.counters, each.counters, strict=True)]
    write_table("", ("product", "counter", "value"), cells)
