"""Sends a poll's dead letters, then its frames, each acknowledged before what follows; the first failure is raised.

Each partition's frames are sent one by one: nothing follows a frame that failed.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import MessageSizeTooLargeError
from aiokafka.producer.message_accumulator import BatchBuilder

from ingest.poll import Record, RejectedRecord, Source
from services.clock import now_ms
from services.crash_points import CrashPoints
from services.dead_letters import dead_letter_headers
from services.identifiers import PartitionId
from services.kafka import KafkaRefused, KafkaUnavailable, compressing_batch, translated
from services.settings import Settings
from services.telemetry import Telemetry
from services.trace_context import TRACES, CarriedTrace, write_traces

LETTER_BYTES: Final = 2_000_000
"""Largest dead letter that is kept as it is; a larger one came compressed, and is kept compressed."""

_TOO_LARGE: Final = (
    "the topic takes no record of this size; set its max.message.bytes to what `tidemark topics check` wants"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """A poll, ready to be sent.

    Attributes:
        letters: its dead letters.
        frames: each partition's frames, in order.
        traces: which traces a partition's events came from. They go with its last frame: once that is applied, so are
            the others.
        events: accepted events.
        positions: what to commit once all is acknowledged.
    """

    letters: Sequence[RejectedRecord]
    sources: Sequence[Source]
    frames: Mapping[PartitionId, Sequence[bytes]]
    traces: Mapping[PartitionId, Sequence[CarriedTrace]]
    events: int
    positions: Mapping[TopicPartition, int]


class Sender:
    """Puts packed polls on the topics of dead letters and frames.

    Args:
        producer: started.
    """

    def __init__(
        self, settings: Settings, producer: AIOKafkaProducer, telemetry: Telemetry, crash_points: CrashPoints
    ) -> None:
        self._topics = settings.topics
        self._limit_s = settings.ingest.delivery_timeout
        self._producer = producer
        self._telemetry = telemetry
        # From 0 on, for a rate does not see the value that a series begins with.
        for result in ("accepted", "dead_lettered"):
            telemetry.count("tidemark_events_total", 0, result=result)
        self._crash_points = crash_points

    async def send(self, packed: Packed) -> None:
        """Return when all of a poll is acknowledged.

        Raises:
            KafkaRefused, KafkaUnavailable: something was not, and nothing that depends on it was sent.
        """
        rejected_at_ms = now_ms()
        await _all(self._send_letter(letter, packed.sources, rejected_at_ms) for letter in packed.letters)
        if packed.letters:
            self._crash_points.visit("ingest.after_dead_letters")
        await _all(self._send_frames(partition, frames, packed) for partition, frames in packed.frames.items())
        if packed.events:
            self._telemetry.count("tidemark_events_total", packed.events, result="accepted")
        if packed.letters:
            self._telemetry.count("tidemark_events_total", len(packed.letters), result="dead_lettered")

    @asynccontextmanager
    async def _acknowledged(self, doing: str) -> AsyncIterator[None]:
        """Bound the wait for an acknowledgement: an idempotent producer would send again for ever."""
        try:
            with translated(doing):
                async with asyncio.timeout(self._limit_s):
                    yield
        except KafkaRefused as error:
            if isinstance(error.__cause__, MessageSizeTooLargeError):
                raise KafkaRefused(f"{doing}: {_TOO_LARGE}") from error
            raise
        except TimeoutError as error:
            raise KafkaUnavailable(f"{doing}: not acknowledged for {self._limit_s:g} s; it is read again") from error

    async def _send_letter(self, letter: RejectedRecord, sources: Sequence[Source], rejected_at_ms: int) -> None:
        source, record = sources[letter.source], letter.record
        headers = dead_letter_headers(
            record.headers,
            reason=letter.reason,
            field=letter.field,
            topic=source.topic,
            partition=source.partition,
            offset=record.offset,
            rejected_at_ms=rejected_at_ms,
        )
        async with self._acknowledged(f"keeping a dead letter in {self._topics.dead_letters}"):
            if record.value is None and record.key is None:
                await self._keep_alone(self._producer.create_batch(), record, headers)
            elif _size(record) > LETTER_BYTES:
                await self._keep_alone(compressing_batch(), record, headers)
            else:
                await self._producer.send_and_wait(
                    self._topics.dead_letters, value=record.value, key=record.key, headers=headers
                )
        self._telemetry.count("tidemark_dead_letters_total", reason=str(letter.reason))

    async def _keep_alone(self, batch: BatchBuilder, record: Record, headers: Sequence[tuple[str, bytes]]) -> None:
        """Keep a record in a batch of its own, for what the client's `send` refuses but Kafka takes.

        That is a record without key and value, and one that came compressed and is larger than a request without.
        """
        batch.append(timestamp=None, key=record.key, value=record.value, headers=headers)
        partition = min(await self._producer.partitions_for(self._topics.dead_letters))
        await (await self._producer.send_batch(batch, self._topics.dead_letters, partition=partition))

    async def _send_frames(self, partition: PartitionId, frames: Sequence[bytes], packed: Packed) -> None:
        traces = packed.traces.get(partition)
        for frame in frames:
            self._telemetry.observe("tidemark_frame_bytes", len(frame))
            headers = [(TRACES, write_traces(traces))] if traces and frame is frames[-1] else None
            async with self._acknowledged(f"sending a frame to partition {partition} of {self._topics.frames}"):
                await self._producer.send_and_wait(
                    self._topics.frames, value=frame, partition=partition, headers=headers
                )
            if packed.events:
                self._crash_points.visit("ingest.after_some_frames")


def _size(record: Record) -> int:
    """Return the bytes of a record's key, value and headers."""
    headers = sum(len(name.encode()) + len(value or b"") for name, value in record.headers)
    return len(record.key or b"") + len(record.value or b"") + headers


async def _all(sends: Iterable[Awaitable[None]]) -> None:
    """Wait for all of them; the first failure is raised once the others have ended."""
    outcomes = await asyncio.gather(*sends, return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome
