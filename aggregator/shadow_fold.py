"""Folds one partition's log into a shadow with the aggregator's own applier, up to the frames that it is told."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

from aiokafka import TopicPartition

from aggregator.applying import PartitionApplier, Shared
from aggregator.errors import GapInLog, LostWrites
from aggregator.holding import cause_of
from aggregator.shadow_store import taken_over
from aggregator.skipping import request_of
from services.counters import Applied, PartitionState
from services.frames import UnknownVersion, WrongFrame
from services.identifiers import FrameOffset, PartitionId
from services.kafka import KafkaUnavailable, make_consumer, translated
from services.keyspace import tags
from services.lifecycle import Refused
from services.settings import Settings

SILENT_AFTER_S: Final = 30.0
"""Without a frame, though the log holds some: then Kafka is away."""

_FETCH_BYTES: Final = 4 * 1024 * 1024
_AT_ONCE: Final = 64

Answer = TypeVar("Answer")


class ShadowFold:
    """Reads frames from the partition's own place in the log, and applies them to the shared store.

    Args:
        state: of the shadow, as it was begun.
        shared: with the shadow's store.
        progress: told how many frames more are applied.
    """

    def __init__(
        self,
        settings: Settings,
        partition: PartitionId,
        state: PartitionState,
        shared: Shared,
        progress: Callable[[int], object],
    ) -> None:
        self._settings = settings
        self._partition = partition
        self._shared = shared
        self._progress = progress
        self._at = TopicPartition(settings.topics.frames, partition)
        self._consumer = make_consumer(settings.kafka, max_partition_fetch_bytes=_FETCH_BYTES)
        self._moved = asyncio.Event()
        self._next = FrameOffset(state.applied_offset + 1)
        self._applier = self._applier_at(state)
        self._folding: asyncio.Task[None] | None = None

    @property
    def reached(self) -> PartitionState:
        """The shadow's state, as far as it was acknowledged."""
        return self._applier.acknowledged

    async def start(self) -> None:
        with translated("reading the log of frames"):
            await self._consumer.start()
            self._consumer.assign([self._at])
            self._consumer.seek(self._at, self._next)
        self._begin()

    async def stop(self) -> None:
        if self._folding is not None:
            self._folding.cancel()
            await asyncio.gather(self._folding, return_exceptions=True)
        await self._consumer.stop()

    async def fold_to(self, last: FrameOffset) -> None:
        """Return once the frames up to `last`, which stand in the log, are applied, and none behind them.

        Raises:
            Refused: a frame cannot be folded, is missing, or the shadow is another run's by now.
            KafkaUnavailable, KafkaRefused, StoreUnavailable, StoreRefused: a server is away.
        """
        while self.reached.applied_offset < last:
            try:
                await self._unless_it_fails(self._feed(last))
                await self._unless_it_fails(self._until(last))
            except LostWrites as error:
                raise taken_over(self._partition) from error
            except Refused as refusal:
                if not isinstance(refusal.__cause__, WrongFrame) or isinstance(refusal.__cause__, UnknownVersion):
                    raise
                await self._pass_over()
            except (ArithmeticError, LookupError, TypeError, ValueError) as error:
                first, end = self._applier.trying
                raise Refused(
                    f"one of the frames {first} to {end} of partition {self._partition} cannot be folded by this"
                    f" release ({cause_of(error)}): install one that can fold it"
                ) from error

    async def _feed(self, last: FrameOffset) -> None:
        while self._next <= last:
            wanted = min(last - self._next + 1, _AT_ONCE)
            with translated("reading the log of frames"):
                read = await self._consumer.getmany(self._at, timeout_ms=int(SILENT_AFTER_S * 1000), max_records=wanted)
            records = read.get(self._at, [])
            if not records:
                raise KafkaUnavailable(f"reading the log of frames: no frame in {SILENT_AFTER_S:g} s")
            for record in records:
                if record.offset != self._next:
                    raise GapInLog(
                        f"gap_in_log: partition {self._partition} of {self._settings.topics.frames} has no frame at"
                        f" offset {self._next}, but one at {record.offset}: the counters cannot be made from it"
                    )
                await self._applier.queue.offer(FrameOffset(record.offset), record.value, self._applied)
                self._next = FrameOffset(record.offset + 1)
        await self._applier.queue.hurry()

    async def _until(self, last: FrameOffset) -> None:
        while self.reached.applied_offset < last:
            self._moved.clear()
            await self._moved.wait()

    def _applied(self) -> None:
        self._progress(1)
        self._moved.set()

    def _applier_at(self, state: PartitionState) -> PartitionApplier:
        tag = tags(self._settings.topics.frames_partitions)[self._partition]
        return PartitionApplier(self._partition, tag, state, self._shared)

    def _begin(self) -> None:
        self._folding = asyncio.create_task(self._applier.run(), name=f"shadow-{self._partition}")

    async def _unless_it_fails(self, work: Coroutine[Any, Any, Answer]) -> Answer:
        """Return what work comes to, or raise what ended the applier meanwhile."""
        task, folding = asyncio.ensure_future(work), self._folding
        assert folding is not None
        try:
            await asyncio.wait({task, folding}, return_when=asyncio.FIRST_COMPLETED)
            if folding.done():
                folding.result()
            return await task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _pass_over(self) -> None:
        """Do what `tidemark frames skip` did with a frame that nobody can read (ADR 0014), and go on behind it."""
        offset, state = self._applier.queue.expected, self.reached
        if state.applied_offset + 1 != offset:
            raise taken_over(self._partition)
        with translated("reading a frame again"):
            self._consumer.seek(self._at, offset)
            record = await self._consumer.getone(self._at)
        request, _ = await request_of(self._settings, self._shared.store, self._partition, state, record.value)
        if await self._shared.store.apply(self._partition, request) != Applied():
            raise taken_over(self._partition)
        self._applied()
        self._next = FrameOffset(offset + 1)
        self._applier = self._applier_at(request.state_after(state))
        self._begin()
