"""Reads the dead-letter topic from its beginning to its end, as it was at the call."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from services import topics
from services.dead_letters import DeadLetterOrigin, original_headers, read_dead_letter_headers
from services.kafka import make_consumer, translated
from services.settings import Settings

_POLL_MS: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """One record of the dead-letter topic.

    Attributes:
        partition, offset: of the dead letter itself; `origin` has those of the record that was refused.
        timestamp_ms: of the dead letter's record.
        origin: None for a record that ingest did not write.
        key, value, headers: as the refused record had them; both None where it had none.
    """

    partition: int
    offset: int
    timestamp_ms: int
    origin: DeadLetterOrigin | None
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]

    @property
    def rejected_at_ms(self) -> int:
        return self.timestamp_ms if self.origin is None else self.origin.rejected_at_ms

    @property
    def reason(self) -> str | None:
        return None if self.origin is None else self.origin.reason


async def read_dead_letters(settings: Settings) -> AsyncGenerator[DeadLetter, None]:
    """Yield the dead letters that are in the topic now, each partition's in order; none when there is no topic.

    No consumer group is used: reading changes nothing.

    Raises:
        KafkaUnavailable, KafkaRefused: the topic cannot be read.
    """
    topic = settings.topics.dead_letters
    ends = await topics.end_offsets(settings, topic)
    if not ends or not any(ends.values()):
        return
    async with _consuming(settings, topic) as consumer:
        while await _before(consumer, ends):
            with translated(f"reading {topic}"):
                records = await consumer.getmany(timeout_ms=_POLL_MS)
            for batch in records.values():
                for record in batch:
                    if record.offset < ends.get(record.partition, 0):
                        yield _dead_letter(record)


@asynccontextmanager
async def _consuming(settings: Settings, topic: str) -> AsyncIterator[Any]:
    consumer = make_consumer(settings.kafka, topic)
    try:
        with translated(f"reading {topic}"):
            await consumer.start()
        yield consumer
    finally:
        await consumer.stop()


async def _before(consumer: Any, ends: dict[int, int]) -> bool:
    """Return whether a partition is still to be read. Positions, not records, say so: a log may begin at its end."""
    with translated("the positions in the dead letters"):
        return any([await consumer.position(each) < ends.get(each.partition, 0) for each in consumer.assignment()])


def _dead_letter(record: Any) -> DeadLetter:
    return DeadLetter(
        partition=record.partition,
        offset=record.offset,
        timestamp_ms=record.timestamp,
        origin=read_dead_letter_headers(record.headers),
        key=record.key,
        value=record.value,
        headers=tuple(original_headers(record.headers)),
    )
