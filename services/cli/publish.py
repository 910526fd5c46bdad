"""`tidemark publish`: lines of a file to the events topic, as they are."""

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn, TransferSpeedColumn

from services.cli.common import AsJson, StateFile, complain, run, say, settings_for, write_json
from services.cli.line_source import LineSource, UnreadableFile
from services.clock import monotonic_s
from services.kafka import KafkaRefused, KafkaUnavailable
from services.line_keys import organization_key
from services.publishing import UsagePublisher

_TICK_S: Final = 0.05
"""How often a rated run sends; each time the events that are due."""

_LINES_BETWEEN_LOOKS: Final = 2_000
"""Lines after which other tasks get their turn."""


@dataclass(slots=True, kw_only=True)
class Published:
    """How a run went so far."""

    lines: int = 0
    blank: int = 0


def publish(
    file: Annotated[str, typer.Argument(metavar="FILE|-", help="NDJSON, .gz too; - is standard input.")],
    rate: Annotated[float | None, typer.Option(min=0.001, metavar="R", help="At most R events a second.")] = None,
    topic: Annotated[str | None, typer.Option(metavar="NAME", help="Instead of the events topic.")] = None,
    state_file: StateFile = None,
    as_json: AsJson = False,
) -> None:
    """Publish each line of a file as one event, byte for byte; report when all are acknowledged.

    Nothing is checked here: what breaks the contract becomes a dead letter. The key is the line's organization, where
    one is found. Blank lines are skipped.

    Example: `tidemark publish events.ndjson.gz --rate 4000 --state-file tidemark.json`
    """
    settings = settings_for(state_file)
    try:
        with LineSource(file) as source:
            publisher = UsagePublisher(settings.kafka, topic or settings.topics.events)
            published, seconds = run(_publish(source, publisher, rate))
    except UnreadableFile as error:
        complain(f"tidemark: {error}")
        raise typer.Exit(2) from error
    per_second = round(published.lines / seconds) if seconds > 0 else None
    if as_json:
        write_json(
            {
                "published": published.lines,
                "blankLines": published.blank,
                "seconds": round(seconds, 3),
                "eventsPerSecond": per_second,
            }
        )
    else:
        blank = f", {published.blank:,} blank lines skipped" if published.blank else ""
        speed = f" ({per_second:,} events/s)" if per_second is not None else ""
        say(f"{published.lines:,} events acknowledged in {seconds:.2f} s{speed}{blank}")


async def _publish(source: LineSource, publisher: UsagePublisher, rate: float | None) -> tuple[Published, float]:
    """Return what was published, and the seconds from the first line to the last acknowledgement."""
    published = Published()
    try:
        async with publisher:
            begin = monotonic_s()
            with _progress(source) as advance:
                async for lines in _paced(source, rate):
                    await _take(lines, publisher, published)
                    if source.size is None or rate is not None:
                        await publisher.push()
                    advance(published)
            await publisher.flush()
            return published, monotonic_s() - begin
    except (KafkaUnavailable, KafkaRefused, UnreadableFile):
        complain(f"stopped after {publisher.acknowledged:,} acknowledged events; publishing all again is safe")
        raise


async def _take(lines: list[bytes], publisher: UsagePublisher, published: Published) -> None:
    for number, line in enumerate(lines):
        if not line.strip():
            published.blank += 1
            continue
        await publisher.publish_raw(line, organization_key(line))
        published.lines += 1
        if number % _LINES_BETWEEN_LOOKS == 0:
            await asyncio.sleep(0)


async def _paced(source: LineSource, rate: float | None) -> AsyncIterator[list[bytes]]:
    """Yield lines, at once or as they become due."""
    chunks = source.chunks()
    begin, given = monotonic_s(), 0
    while (lines := await asyncio.to_thread(next, chunks, None)) is not None:
        if rate is None:
            yield lines
            continue
        place = 0
        while place < len(lines):
            due = int((monotonic_s() - begin) * rate) + 1 - given
            if due > 0:
                yield lines[place : place + due]
                taken = min(due, len(lines) - place)
                place, given = place + taken, given + taken
            await asyncio.sleep(min(_TICK_S, 1 / rate))


@contextmanager
def _progress(source: LineSource) -> Iterator["_Advance"]:
    """A bar on standard error while it is a terminal, else nothing."""
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        disable=not sys.stderr.isatty(),
        transient=True,
    )
    with bar:
        yield _Advance(bar, source)


class _Advance:
    def __init__(self, bar: Progress, source: LineSource) -> None:
        self._bar = bar
        self._source = source
        self._task = bar.add_task("publishing", total=source.size)

    def __call__(self, published: Published) -> None:
        self._bar.update(self._task, completed=self._source.position(), description=f"{published.lines:,} events")
