"""Reads parts of topics beside the stream, without a consumer group: reading changes nothing."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition

from services.clock import monotonic_s
from services.kafka import KafkaUnavailable, make_consumer, translated
from services.kafka_header_names import accept_any_header_name
from services.settings import KafkaSettings, Settings

POLL_MS: Final = 500
FETCH_BYTES: Final = 4 * 1024 * 1024
"""Of one partition at once."""

PARTITIONS_AT_ONCE: Final = 16
"""Read together; a reader holds so many fetches of `FETCH_BYTES` at most."""

WAIT_MS: Final = 20
"""How long a broker holds an empty answer back: a reader that goes on to another span waits for the last answer."""

BREATH: Final = 100
"""Records that are made of what was fetched, and looked at, before others may run: the API answers requests beside."""

ONE_BATCH: Final = 1
"""Bytes to ask for where one record is wanted: a broker answers with one whole batch all the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Offsets of one partition, half-open."""

    topic: str
    partition: int
    begin: int
    end: int


class LogReader:
    """Reads one span after the other; one question at a time."""

    def __init__(self, consumer: AIOKafkaConsumer, settings: KafkaSettings) -> None:
        self._consumer = consumer
        self._silence_s = settings.request_timeout
        # Only the embedded broker is used without idempotence.
        self._has_times = settings.idempotence

    async def begins(self, topic: str, partitions: Collection[int]) -> dict[int, int]:
        """Return the offset of the first record that each partition still has."""
        with translated(f"reading the begin of {topic}"):
            found = await self._consumer.beginning_offsets([TopicPartition(topic, number) for number in partitions])
        return {at.partition: offset for at, offset in found.items()}

    async def offset_at(self, topic: str, partition: int, instant_ms: int, end: int) -> int | None:
        """Return the offset of the first record of this broker time or later, `end` if there is none.

        None when the broker cannot say: the embedded one's answers are not to be relied on.
        """
        if not self._has_times:
            return None
        at = TopicPartition(topic, partition)
        with translated(f"looking up a time in {topic}"):
            found = (await self._consumer.offsets_for_times({at: max(0, instant_ms)}))[at]
        return end if found is None else int(found.offset)

    async def first_times(self, spans: Sequence[Span]) -> dict[tuple[str, int], int]:
        """Return the broker time of the first record of each span; those without one are left out."""
        times: dict[tuple[str, int], int] = {}
        firsts = [replace(each, end=min(each.begin + 1, each.end)) for each in spans]
        async for record in self.records(firsts):
            times[record.topic, record.partition] = record.timestamp
        return times

    async def records(self, spans: Sequence[Span], until_s: float | None = None) -> AsyncGenerator[Any, None]:
        """Yield the records of spans, each partition's in order, till all are read or the time is over.

        Args:
            until_s: `monotonic_s` at which to stop; None for never.

        Raises:
            KafkaUnavailable: nothing came for as long as a request may take.
        """
        wanted = [each for each in spans if each.begin < each.end]
        for start in range(0, len(wanted), PARTITIONS_AT_ONCE):
            some = {TopicPartition(each.topic, each.partition): each for each in wanted[start:][:PARTITIONS_AT_ONCE]}
            self._consumer.assign(list(some))
            for at, each in some.items():
                self._consumer.seek(at, each.begin)
            try:
                async with aclosing(self._assigned({at: each.end for at, each in some.items()}, until_s)) as records:
                    async for record in records:
                        yield record
            finally:
                # Not `unsubscribe`: without any subscription the client's fetching ends with an error, for good.
                self._consumer.pause(*some)

    async def _assigned(self, ends: Mapping[TopicPartition, int], until_s: float | None) -> AsyncGenerator[Any, None]:
        heard_s = monotonic_s()
        while await self._before(ends):
            if until_s is not None and monotonic_s() >= until_s:
                return
            with translated("reading beside the stream"):
                batches = await self._consumer.getmany(timeout_ms=POLL_MS, max_records=BREATH)
            if batches:
                heard_s = monotonic_s()
            elif monotonic_s() - heard_s > self._silence_s:
                topics = ", ".join(sorted({at.topic for at in ends}))
                raise KafkaUnavailable(f"reading {topics}: nothing came for {self._silence_s:g} s")
            for at, batch in batches.items():
                for record in batch:
                    if record.offset < ends[at]:
                        yield record
            # Records that were fetched already are given without a pause.
            await asyncio.sleep(0)

    async def _before(self, ends: Mapping[TopicPartition, int]) -> bool:
        """Return whether something is still to be read; what is read to its end is fetched no further."""
        with translated("the positions in a log"):
            done = [at for at in self._consumer.assignment() if await self._consumer.position(at) >= ends[at]]
        self._consumer.pause(*done)
        return len(done) < len(ends)


@asynccontextmanager
async def open_log(settings: Settings, fetch_bytes: int = FETCH_BYTES) -> AsyncIterator[LogReader]:
    """Open a reader of the topics of a deployment.

    Raises:
        KafkaUnavailable, KafkaRefused: Kafka cannot be read.
    """
    accept_any_header_name()
    consumer = make_consumer(settings.kafka, max_partition_fetch_bytes=fetch_bytes, fetch_max_wait_ms=WAIT_MS)
    try:
        with translated("opening a log"):
            await consumer.start()
        yield LogReader(consumer, settings.kafka)
    finally:
        await consumer.stop()
