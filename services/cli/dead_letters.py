"""`tidemark dead-letters list` and `show`: what was refused, and why. `replay` and `purge` have files of their own."""

import importlib
from collections.abc import AsyncIterator
from heapq import heappush, heappushpop
from typing import Annotated, Any, Final

import typer

from services.cli import dead_letter_purge, dead_letter_replay
from services.cli.common import AsJson, StateFile, complain, run, say, settings_for, write_json, write_table
from services.cli.dead_letter_options import ID_METAVAR, Organization, Reasons, Since, Until, letter_filter, letter_id
from services.cli.dead_letter_rows import COLUMNS, cells, members, printable, readable
from services.cli.progress import progress_bar
from services.clock import now_ms
from services.dead_letter_filter import LetterFilter
from services.dead_letter_log import DeadLetter, Note, read_dead_letters, read_log, read_replays
from services.dead_letter_remedies import remedy
from services.dead_letter_replay import WORDS, Outgoing, ReplayRules, fate
from services.dead_letter_view import record_lines
from services.dead_letters import MEANINGS
from services.replays import LetterId, Replays
from services.settings import Settings
from services.windows import rfc3339

TABLE_ROWS: Final = 50

app = typer.Typer(no_args_is_help=True, help="Look at the records that were refused, and publish them again.")


@app.command("list")
def list_(  # noqa: PLR0917 -- an option each
    reason: Reasons = None,
    organization: Organization = None,
    since: Since = None,
    until: Until = None,
    replayed: Annotated[
        bool | None,
        typer.Option(
            "--replayed/--not-replayed", help="Only those that were, or were not, replayed.", show_default=False
        ),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, metavar="N", help=f"At most the newest N; a table has {TABLE_ROWS} by default.")
    ] = None,
    state_file: StateFile = None,
    as_json: AsJson = False,
) -> None:
    """Print the dead letters: id, reason, field, where the record was, when it was refused, and how it begins.

    With --json one object a line, key, value and headers as the record had them: `{"text": …}`, or `{"base64": …}`
    where the bytes are not UTF-8; `event` is the record as JSON where it is a sound object. Such lines, corrected, are
    what `dead-letters replay --edit` takes. What each reason means: `deploy/docs/reason-codes.md`.

    Example: `tidemark dead-letters list --since 2h --json | jq -r .reason | sort | uniq -c`
    """
    settings = settings_for(state_file)
    wanted = letter_filter(reason, organization, since, until)
    if as_json:
        run(_write_lines(settings, wanted, replayed, limit))
        return
    replays, newest, total = run(_newest(settings, wanted, replayed, limit or TABLE_ROWS))
    if not total:
        say("no dead letters" + ("" if wanted.is_open and replayed is None else " of this kind"))
        return
    title = f"{len(newest)} of {total} dead letters, the newest last" if total > len(newest) else "Dead letters"
    write_table(title, COLUMNS, [cells(each, replays.of(each.id)) for each in newest])


async def _write_lines(settings: Settings, wanted: LetterFilter, replayed: bool | None, limit: int | None) -> None:
    if limit is not None:
        replays, newest, _ = await _newest(settings, wanted, replayed, limit)
        for each in newest:
            write_json(members(each, replays.of(each.id)))
        return
    # A note comes after its letter: all of them are read before the first line is written.
    with progress_bar("notes read") as advance:
        replays = await read_replays(settings, progress=advance)
    async for each in _chosen(settings, wanted, replays, replayed):
        write_json(members(each, replays.of(each.id)))


async def _newest(
    settings: Settings, wanted: LetterFilter, replayed: bool | None, limit: int
) -> tuple[Replays, list[DeadLetter], int]:
    """Return what was replayed, the newest letters, oldest of them first, and how many there are.

    Memory holds `limit` of the letters.
    """
    heap: list[tuple[int, LetterId, DeadLetter]] = []
    total = 0
    with progress_bar("notes read") as advance:
        replays = await read_replays(settings, progress=advance)
    async for each in _chosen(settings, wanted, replays, replayed):
        total += 1
        ranked = (each.rejected_at_ms, each.id, each)
        if len(heap) < limit:
            heappush(heap, ranked)
        else:
            heappushpop(heap, ranked)
    return replays, [ranked[2] for ranked in sorted(heap, key=lambda ranked: ranked[:2])], total


async def _chosen(
    settings: Settings, wanted: LetterFilter, replays: Replays, replayed: bool | None
) -> AsyncIterator[DeadLetter]:
    with progress_bar("dead letters read") as advance:
        async for each in read_dead_letters(settings, progress=advance):
            if wanted.takes(each) and replayed in (None, replays.of(each.id) is not None):
                yield each


@app.command()
def show(
    letter: Annotated[str, typer.Argument(metavar=ID_METAVAR, help="Its id, as `list` shows it.")],
    state_file: StateFile = None,
    as_json: AsJson = False,
) -> None:
    """Show everything of one dead letter: the record with the fault marked, what it means, and what mends it.

    Bytes that are no text are shown in hex around the fault; with --json whole, as base64. `now` says what would
    become of it if it were replayed as it is. Exit code 1: there is no such letter.

    Example: `tidemark dead-letters show 0:17`
    """
    settings = settings_for(state_file)
    wanted = letter_id(letter)
    found, replays = run(_find(settings, wanted))
    if found is None:
        complain(f"there is no dead letter {wanted}; `tidemark dead-letters list` shows those that are kept")
        raise typer.Exit(1)
    note = replays.of(wanted)
    now = _now(settings, found, replays)
    more = {"meaning": _meaning(found.reason), "remedy": remedy(found.reason), "now": now}
    if as_json:
        write_json({**members(found, note), **more})
        return
    for name, text in (*_facts(found, replays), *more.items()):
        say(f"{name + ':':<14}{printable(str(text))}")
    say("record:")
    for line in record_lines(found.value, found.headers, found.field):
        say(line)


async def _find(settings: Settings, wanted: LetterId) -> tuple[DeadLetter | None, Replays]:
    """Return a letter and the notes after it in its partition."""
    found, replays = None, Replays()
    async for each in read_log(settings, begin={wanted.partition: wanted.offset}):
        if isinstance(each, Note):
            if each.note is not None:
                replays.add(each.partition, each.note)
        elif each.id == wanted:
            found = each
    return found, replays


def _now(settings: Settings, letter: DeadLetter, replays: Replays) -> str:
    """Return what `replay` would do with a letter."""
    judge = importlib.import_module(dead_letter_replay.JUDGE).Judge(settings)
    rules = ReplayRules.of(settings, again=False, keep_old=False, force=False)
    outcome = fate(letter, replays.of(letter.id), rules, judge, now_ms())
    if isinstance(outcome, Outgoing):
        return f"would be accepted: `tidemark dead-letters replay {letter.id}`"
    fault = ": ".join(word for word in (outcome.field, outcome.detail) if word)
    return WORDS[outcome.why] + (f" ({fault})" if fault else "")


def _meaning(reason: str | None) -> str | None:
    return {str(each): meaning for each, meaning in MEANINGS.items()}.get(reason or "")


def _facts(letter: DeadLetter, replays: Replays) -> list[tuple[str, Any]]:
    shown = members(letter, replays.of(letter.id))
    origin = letter.origin
    came_from = "unknown" if origin is None else f"{origin.topic}, partition {origin.partition}, offset {origin.offset}"
    replayed = shown["replayed"]
    facts: list[tuple[str, Any]] = [
        ("id", letter.id),
        ("reason", letter.reason or "unknown"),
        ("field", letter.field or "no single one"),
        ("organization", shown["organization"] or "unknown"),
        ("came from", came_from),
        ("rejected at", rfc3339(letter.rejected_at_ms)),
        ("replayed", "no" if replayed is None else replayed["at"] + (", corrected" if replayed["edited"] else "")),
    ]
    if letter.descent is not None:
        facts.append(("replay of", f"{letter.descent.last} (the first: {letter.descent.first})"))
    facts.append(("key", _content(letter.key)))
    facts += [("header", f"{name} = {_content(value)}") for name, value in letter.headers]
    return facts


def _content(value: bytes | None) -> str:
    shown = readable(value)
    if shown is None:
        return "none"
    return shown["text"] if "text" in shown else f"base64 {shown['base64']}"


app.command()(dead_letter_replay.replay)
app.command()(dead_letter_purge.purge)
