"""`tidemark trace`: where is my event?"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from services import trace_reading
from services.cli.common import AsJson, StateFile, instant_ms, run, say, settings_for, write_json, write_table
from services.event_identity import EventIdentity
from services.settings import Settings
from services.trace import Outcome
from services.trace_members import trace_members

TABLE_ROWS: Final = 50
CHARACTERS_MAX: Final = 256
SHOWN_EVERY: Final = 200
"""Records between two steps of the bar: to move it costs more than to look at a record."""


def trace(
    organization: Annotated[str, typer.Option(metavar="ID", help="The event's organizationid.", show_default=False)],
    source: Annotated[str, typer.Option(metavar="TEXT", help="The event's source.", show_default=False)],
    event_id: Annotated[str, typer.Option("--id", metavar="TEXT", help="The event's id.", show_default=False)],
    since: Annotated[
        str | None,
        typer.Option(metavar="RFC3339", help="Read only frames and dead letters written since; all when left out."),
    ] = None,
    state_file: StateFile = None,
    as_json: AsJson = False,
) -> None:
    """Say what became of a usage event: each record of it, with coordinates, and the windows that it counted in.

    **accepted**: counted once. **duplicate**, **redelivered**: a copy that changed nothing, sent again or read again;
    of which record. **dead_lettered**: refused, and why. **in_flight**: in the topic or in a frame, not applied yet.
    **skipped**: in a frame that an operator gave up. **never_seen**: not found in what was read.

    What was counted in frames that are no longer kept is known from the dedup index, without coordinates. The answer
    says how far back it reaches. Directory events are not traced: they have no counters, the highest version holds.

    Exit code 0 when it was found, 1 when it was not.

    Example: `tidemark trace --organization acme --source ide --id 7f3a --since 2026-08-22T08:00:00Z`
    """
    event = EventIdentity(
        organization=_text("--organization", organization), source=_text("--source", source), id=_text("--id", event_id)
    )
    found = run(_trace(settings_for(state_file), event, None if since is None else instant_ms(since)))
    if as_json:
        write_json(found)
    else:
        _print(found)
    if found["verdict"] in (Outcome.NEVER_SEEN, Outcome.UNKNOWN):
        raise typer.Exit(1)


def _text(option: str, text: str) -> str:
    if not 0 < len(text) <= CHARACTERS_MAX:
        raise typer.BadParameter(f"{option}: give 1 to {CHARACTERS_MAX} characters")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise typer.BadParameter(f"{option}: it is not UTF-8") from error
    return text


async def _trace(settings: Settings, event: EventIdentity, since_ms: int | None) -> dict[str, Any]:
    with _progress() as progress:
        answer, reach = await trace_reading.trace_event(settings, event, since_ms=since_ms, progress=progress)
    return trace_members(event, answer, reach)


def _print(found: dict[str, Any]) -> None:
    say(found["explanation"])
    records = found["records"]
    if records:
        columns = ("outcome", "certain", "topic", "partition", "offset", "broker time", "more")
        title = f"{min(len(records), TABLE_ROWS)} of {len(records)} records"
        write_table(title, columns, [_cells(each) for each in records[:TABLE_ROWS]])
    for each in records:
        if each["outcome"] == Outcome.ACCEPTED:
            _print_counted(each)
    for period in found["countedInFramesNotRead"]:
        say(f"counted by a frame that was not read, at an event time from {period['from']} to {period['to']}")
    if found["verdict"] == Outcome.ACCEPTED and not found["indexed"]:
        say("The dedup index does not hold it: its set has ended, or lost it. A copy that comes now would count again.")
    reach = found["reach"]
    say(f"How far back: {reach['why']}.")
    if reach["frames"]["unreadable"]["count"]:
        say(f"{reach['frames']['unreadable']['count']} frames could not be read here; the event may be in them.")


def _print_counted(record: dict[str, Any]) -> None:
    event = record["event"]
    amounts = ", ".join(f"{name} {amount}" for name, amount in event["metrics"].items() if amount) or "nothing"
    say(f"counted at its time {event['time']} as {event['type']}: {amounts}")
    columns = ("organization", "team", "user", "window", "start", "product")
    write_table("Windows", columns, [[each[name] or "" for name in columns] for each in record["windows"]])


def _cells(record: dict[str, Any]) -> tuple[object, ...]:
    source, frame, first, letter = (record[name] for name in ("source", "frame", "copyOf", "deadLetter"))
    more = []
    if letter is not None:
        field = "" if letter["field"] is None else f" at {letter['field']}"
        more.append(f"{letter['reason']}{field}; dead letter {letter['partition']}:{letter['offset']}")
    if first is not None:
        more.append(f"copy of {first['topic']} {first['partition']}:{first['offset']}")
    if frame is not None:
        more.append(f"frame {frame['partition']}:{frame['offset']}")
    where = (source["topic"], source["partition"], source["offset"], source["brokerTime"] or "")
    return (record["outcome"], "yes" if record["certain"] else "no", *where, "; ".join(more))


@contextmanager
def _progress() -> Iterator[trace_reading.Progress]:
    """Yield what shows the progress on a terminal; elsewhere it shows nothing."""
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    shown = sys.stderr.isatty()
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=not shown) as bar:
        task = bar.add_task("reading", total=None)

        def update(what: str, done: int, total: int | None) -> None:
            if shown and done % SHOWN_EVERY == 0:
                bar.update(task, description=f"reading {what}", completed=done, total=total)

        yield update
