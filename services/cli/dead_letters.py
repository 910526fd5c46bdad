"""`tidemark dead-letters list`: what was refused, and why."""

import base64
from collections.abc import AsyncIterator
from heapq import heappush, heappushpop
from typing import Annotated, Any, Final

import typer

from services.cli.common import AsJson, StateFile, run, say, settings_for, write_json, write_table
from services.dead_letter_log import DeadLetter, read_dead_letters
from services.dead_letters import Reason
from services.settings import Settings
from services.windows import rfc3339

TABLE_ROWS: Final = 50
FIRST_CHARACTERS: Final = 60

app = typer.Typer(no_args_is_help=True, help="Look at the records that were refused.")


@app.command("list")
def list_(
    reason: Annotated[
        Reason | None, typer.Option(help="Only those refused for this reason.", show_choices=False)
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, metavar="N", help=f"At most the newest N; a table has {TABLE_ROWS} by default.")
    ] = None,
    state_file: StateFile = None,
    as_json: AsJson = False,
) -> None:
    """Print the dead letters: reason, field, where the record was, when it was refused, and how it begins.

    With --json one object a line, key, value and headers as the record had them: `{"text": …}`, or `{"base64": …}`
    where the bytes are not UTF-8. What each reason means: `deploy/docs/reason-codes.md`.

    Example: `tidemark dead-letters list --json | jq -r .reason | sort | uniq -c`
    """
    settings = settings_for(state_file)
    if as_json:
        run(_write_lines(settings, reason, limit))
        return
    newest, total = run(_newest(settings, reason, limit or TABLE_ROWS))
    if not total:
        say("no dead letters" + ("" if reason is None else f" with reason {reason}"))
        return
    columns = ("reason", "field", "topic", "partition", "offset", "rejected at", "begins with")
    title = f"{len(newest)} of {total} dead letters, the newest last" if total > len(newest) else "Dead letters"
    write_table(title, columns, [_cells(each) for each in newest])


async def _write_lines(settings: Settings, reason: Reason | None, limit: int | None) -> None:
    if limit is not None:
        newest, _ = await _newest(settings, reason, limit)
        for each in newest:
            write_json(members(each))
        return
    async for each in _chosen(settings, reason):
        write_json(members(each))


async def _newest(settings: Settings, reason: Reason | None, limit: int) -> tuple[list[DeadLetter], int]:
    """Return the newest dead letters, oldest of them first, and how many there are; memory holds `limit` of them."""
    heap: list[tuple[int, int, int, DeadLetter]] = []
    total = 0
    async for each in _chosen(settings, reason):
        total += 1
        ranked = (each.rejected_at_ms, each.partition, each.offset, each)
        if len(heap) < limit:
            heappush(heap, ranked)
        else:
            heappushpop(heap, ranked)
    return [ranked[3] for ranked in sorted(heap, key=lambda ranked: ranked[:3])], total


async def _chosen(settings: Settings, reason: Reason | None) -> AsyncIterator[DeadLetter]:
    async for each in read_dead_letters(settings):
        if reason is None or each.reason == reason:
            yield each


def members(letter: DeadLetter) -> dict[str, Any]:
    """Return a dead letter as the JSON object of its line."""
    origin = letter.origin
    return {
        "reason": letter.reason,
        "field": None if origin is None else origin.field,
        "topic": None if origin is None else origin.topic,
        "partition": None if origin is None else origin.partition,
        "offset": None if origin is None else origin.offset,
        "rejectedAt": rfc3339(letter.rejected_at_ms),
        "key": _readable(letter.key),
        "value": _readable(letter.value),
        "headers": [{"name": name, **(_readable(value) or {})} for name, value in letter.headers],
        "deadLetter": {"partition": letter.partition, "offset": letter.offset},
    }


def _readable(value: bytes | None) -> dict[str, str] | None:
    if value is None:
        return None
    try:
        return {"text": value.decode()}
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(value).decode()}


def _cells(letter: DeadLetter) -> tuple[object, ...]:
    origin = letter.origin
    begins = "" if letter.value is None else letter.value[: 4 * FIRST_CHARACTERS].decode(errors="replace")
    shown = "".join(each if each.isprintable() else "�" for each in begins[:FIRST_CHARACTERS])
    where = (None, None, None) if origin is None else (origin.topic, origin.partition, origin.offset)
    field = "" if origin is None or origin.field is None else origin.field
    return letter.reason, field, *where, rfc3339(letter.rejected_at_ms), shown
