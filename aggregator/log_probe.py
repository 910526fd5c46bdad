"""Looks at the log of frames beside the stream: where it begins and ends, and which frame stands at an offset.

Offsets are not trusted blindly (design.md, invariant 5): the id of the last applied frame is kept beside the applied
offset, and that frame is read again. This detects a recreated topic or a lost tail; it does not recover.
"""

import asyncio
from collections.abc import Iterable
from typing import Any, Final

import structlog
from aiokafka import TopicPartition

from aggregator.errors import GapInLog, LogDiverged
from services.counters import PartitionState
from services.frames import UnknownVersion, WrongFrame, decode_frame, digest
from services.identifiers import FrameId, FrameOffset, PartitionId
from services.kafka import KafkaUnavailable, make_consumer, translated
from services.kafka_connection import why_deaf
from services.lifecycle import Refused
from services.settings import KafkaSettings

_ANSWER_S: Final = 5.0


class LogProbe:
    """A consumer without a group that reads single frames; one question at a time."""

    def __init__(self, settings: KafkaSettings, topic: str) -> None:
        # One byte: a broker answers with one whole batch all the same, and nothing is fetched ahead.
        self._consumer = make_consumer(settings, max_partition_fetch_bytes=1, fetch_max_wait_ms=500)
        self._topic = topic
        self._lock = asyncio.Lock()

    async def start(self) -> None:
        with translated("the log probe"):
            await self._consumer.start()

    async def stop(self) -> None:
        await self._consumer.stop()

    async def bounds(self, partitions: Iterable[PartitionId]) -> dict[PartitionId, tuple[int, int]]:
        """Return each partition's first offset and end offset (of the next frame).

        Raises:
            Refused: the client would never hear of a new leader.
            KafkaUnavailable: Kafka does not answer.
        """
        if (cause := why_deaf(self._consumer._client)) is not None:
            raise Refused(f"the Kafka client no longer follows the cluster: {cause!r}") from cause
        asked = {partition: TopicPartition(self._topic, partition) for partition in partitions}
        with translated("reading the bounds of the frames' log"):
            begins = await self._consumer.beginning_offsets(list(asked.values()))
            ends = await self._consumer.end_offsets(list(asked.values()))
        return {partition: (begins[at], ends[at]) for partition, at in asked.items()}

    async def record(self, partition: PartitionId, offset: FrameOffset) -> Any | None:
        """Return the record at an offset within the log, None when there is none.

        Raises:
            KafkaUnavailable: Kafka does not answer, or the log ends before.
        """
        at = TopicPartition(self._topic, partition)
        async with self._lock:
            try:
                with translated("reading a frame again"):
                    self._consumer.assign([at])
                    self._consumer.seek(at, offset)
                    record = await asyncio.wait_for(self._consumer.getone(at), _ANSWER_S)
            except TimeoutError as error:
                raise KafkaUnavailable("reading a frame again: no answer") from error
            finally:
                self._consumer.unsubscribe()
        return record if record.offset == offset else None

    async def holds(self, partition: PartitionId, offset: FrameOffset, frame_id: FrameId) -> bool:
        """Return whether the frame of this id stands at an offset within the log; skipped bytes have an id too.

        Raises:
            Refused: nobody can tell, since another release wrote the frame there; after a downgrade, say.
            KafkaUnavailable: Kafka does not answer.
        """
        record = await self.record(partition, offset)
        if record is None:
            return False
        if digest(record.value) == frame_id:
            return True
        try:
            return decode_frame(record.value).frame_id == frame_id
        except UnknownVersion as error:
            raise Refused(f"partition {partition}, offset {offset}: {error}") from error
        except WrongFrame:
            return False

    async def check(self, partition: PartitionId, state: PartitionState, bounds: tuple[int, int]) -> None:
        """Check that the log is the one that the state was made from.

        Raises:
            LogDiverged: it ends before the applied offset, or another frame stands there.
            Refused: frames that were not applied are gone from its start.
        """
        begin, end = bounds
        applied = state.applied_offset
        if begin > applied + 1:
            structlog.get_logger().error(
                "unrecoverable_gap", partition=partition, first_offset=begin, applied_offset=applied
            )
            raise Refused(
                f"unrecoverable_gap: partition {partition} of {self._topic} begins at offset {begin}, but only frames"
                f" up to {applied} are applied: those between are gone. Restore a younger backup of Redis, or run"
                " `tidemark rebuild`"
            )
        # The embedded broker names an end too low; what counts is whether the frame is there.
        if end <= applied and await self._is_gone(partition, state):
            raise LogDiverged(
                f"log_diverged: partition {partition} of {self._topic} ends at offset {end}, but the frame at"
                f" {applied} was applied: the topic was recreated or lost its tail. Run `tidemark rebuild`"
            )
        if applied < begin or end <= applied or state.frame_id is None:
            return
        if not await self.holds(partition, applied, state.frame_id):
            raise LogDiverged(
                f"log_diverged: partition {partition} of {self._topic} has another frame at offset {applied} than the"
                " one that was applied: the topic was recreated or lost its tail. Run `tidemark rebuild`"
            )

    async def check_gap(self, partition: PartitionId, offset: FrameOffset) -> None:
        """Check that a frame which did not come, while a later one did, stands in the log.

        Raises:
            GapInLog: it does not.
        """
        if await self.record(partition, offset) is None:
            raise GapInLog(
                f"gap_in_log: partition {partition} of {self._topic} has no frame at offset {offset}, but later ones:"
                " the topic was compacted, or another program wrote to it in a transaction. Run `tidemark rebuild`"
            )

    async def _is_gone(self, partition: PartitionId, state: PartitionState) -> bool:
        """Return whether the applied frame cannot be read, though the log was said to end before it."""
        if state.frame_id is None:
            return True
        try:
            return not await self.holds(partition, state.applied_offset, state.frame_id)
        except KafkaUnavailable:
            return True
