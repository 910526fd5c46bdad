"""Reads the dead-letter topic up to its end, as it was at the call."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from services import topics
from services.dead_letters import DeadLetterOrigin, original_headers, read_dead_letter_headers
from services.kafka import make_consumer, translated
from services.log_reader import BREATH
from services.replays import Descent, LetterId, ReplayNote, Replays, is_note, read_descent, read_note
from services.settings import Settings

_POLL_MS: Final = 500

Progress = Callable[[int, int], None]
"""Is told how much is done, and how much there is to do."""


def unwatched(_done: int, _total: int) -> None:
    """Show no progress."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """One record of the dead-letter topic.

    Attributes:
        partition, offset: of the dead letter itself; `origin` has those of the record that was refused.
        timestamp_ms: of the dead letter's record.
        origin: None for a record that ingest did not write.
        key, value, headers: as the refused record had them; both None where it had none.
        descent: None for a record that was not published from an earlier dead letter.
    """

    partition: int
    offset: int
    timestamp_ms: int
    origin: DeadLetterOrigin | None
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]
    descent: Descent | None = None

    @property
    def id(self) -> LetterId:
        return LetterId(self.partition, self.offset)

    @property
    def rejected_at_ms(self) -> int:
        return self.timestamp_ms if self.origin is None else self.origin.rejected_at_ms

    @property
    def reason(self) -> str | None:
        return None if self.origin is None else self.origin.reason

    @property
    def field(self) -> str | None:
        return None if self.origin is None else self.origin.field


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """A record of the dead-letter topic that is about letters before it; `note` None where it cannot be read."""

    partition: int
    offset: int
    note: ReplayNote | None


async def read_dead_letters(
    settings: Settings, *, begin: Mapping[int, int] | None = None, progress: Progress = unwatched
) -> AsyncGenerator[DeadLetter, None]:
    """Yield the dead letters that are in the topic now, each partition's in order; none when there is no topic.

    No consumer group is used: reading changes nothing.

    Args:
        begin: partition -> offset to begin at, of these partitions alone; None: everything.

    Raises:
        KafkaUnavailable, KafkaRefused: the topic cannot be read.
    """
    async for each in read_log(settings, begin=begin, progress=progress):
        if isinstance(each, DeadLetter):
            yield each


async def read_replays(
    settings: Settings, *, begin: Mapping[int, int] | None = None, progress: Progress = unwatched
) -> Replays:
    """Return which letters were published again; arguments and errors as `read_dead_letters`."""
    replays = Replays()
    async for each in read_log(settings, begin=begin, progress=progress):
        if isinstance(each, Note) and each.note is not None:
            replays.add(each.partition, each.note)
    return replays


async def read_log(
    settings: Settings, *, begin: Mapping[int, int] | None = None, progress: Progress = unwatched
) -> AsyncIterator[DeadLetter | Note]:
    """Yield letters and the notes on them; arguments and errors as `read_dead_letters`."""
    topic = settings.topics.dead_letters
    ends = await topics.end_offsets(settings, topic) or {}
    if begin is not None:
        ends = {partition: end for partition, end in ends.items() if begin.get(partition, end) < end}
    if not any(ends.values()):
        return
    read = 0
    async with _consuming(settings, topic) as consumer:
        _position(consumer, ends, begin or {})
        total = await _left(consumer, ends)
        while await _left(consumer, ends):
            with translated(f"reading {topic}"):
                records = await consumer.getmany(timeout_ms=_POLL_MS, max_records=BREATH)
            # Records that were fetched already are given without a pause.
            await asyncio.sleep(0)
            for batch in records.values():
                read += len(batch)
                for record in batch:
                    if record.offset < ends.get(record.partition, 0):
                        yield _note(record) if is_note(record.headers) else _dead_letter(record)
            progress(read, total)


@asynccontextmanager
async def _consuming(settings: Settings, topic: str) -> AsyncIterator[Any]:
    consumer = make_consumer(settings.kafka, topic)
    try:
        with translated(f"reading {topic}"):
            await consumer.start()
        yield consumer
    finally:
        await consumer.stop()


def _position(consumer: Any, ends: Mapping[int, int], begin: Mapping[int, int]) -> None:
    """Set each partition to where its reading begins; those that are not to be read are paused."""
    for each in consumer.assignment():
        if each.partition not in ends:
            consumer.pause(each)
        elif each.partition in begin:
            consumer.seek(each, begin[each.partition])


async def _left(consumer: Any, ends: Mapping[int, int]) -> int:
    """Return how many records are still to be read. Positions, not records, say so: a log may begin at its end."""
    with translated("the positions in the dead letters"):
        return sum(
            [
                max(0, ends[each.partition] - await consumer.position(each))
                for each in consumer.assignment()
                if each.partition in ends
            ]
        )


def _note(record: Any) -> Note:
    return Note(partition=record.partition, offset=record.offset, note=read_note(record.value))


def _dead_letter(record: Any) -> DeadLetter:
    return DeadLetter(
        partition=record.partition,
        offset=record.offset,
        timestamp_ms=record.timestamp,
        origin=read_dead_letter_headers(record.headers),
        key=record.key,
        value=record.value,
        headers=tuple(original_headers(record.headers)),
        descent=read_descent(record.headers),
    )
