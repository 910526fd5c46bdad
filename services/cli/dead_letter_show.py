"""`tidemark dead-letters show`: one letter, with the fault in its place."""

import importlib
from typing import Annotated, Any

import typer

from services.cli import dead_letter_replay
from services.cli.common import AsJson, StateFile, complain, run, say, settings_for, write_json
from services.cli.dead_letter_options import ID_METAVAR, letter_id
from services.cli.dead_letter_rows import members, printable, readable
from services.clock import now_ms
from services.dead_letter_fate import WORDS, Outgoing, ReplayRules, fate
from services.dead_letter_log import DeadLetter, Note, read_log
from services.dead_letter_remedies import remedy
from services.dead_letter_view import record_lines
from services.dead_letters import MEANINGS
from services.replays import LetterId, Replays
from services.settings import Settings
from services.windows import rfc3339


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
