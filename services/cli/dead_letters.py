"""`tidemark dead-letters list`: what was refused, and why. `show`, `replay` and `purge` have files of their own."""

from collections.abc import AsyncIterator
from heapq import heappush, heappushpop
from typing import Annotated, Final

import typer

from services.cli import dead_letter_purge, dead_letter_replay, dead_letter_show
from services.cli.common import AsJson, StateFile, run, say, settings_for, write_json, write_table
from services.cli.dead_letter_options import Organization, Reasons, Since, Until, letter_filter
from services.cli.dead_letter_rows import COLUMNS, cells, members
from services.cli.progress import progress_bar
from services.dead_letter_filter import LetterFilter
from services.dead_letter_log import DeadLetter, read_dead_letters, read_replays
from services.replays import LetterId, Replays
from services.settings import Settings

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


app.command()(dead_letter_show.show)
app.command()(dead_letter_replay.replay)
app.command()(dead_letter_purge.purge)
