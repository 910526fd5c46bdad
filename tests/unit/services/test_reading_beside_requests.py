"""What operators ask for is read beside users' requests: nothing takes the event loop for long at once.

Measured is the processor's time between two turns of the loop, which other programs on the machine do not add to.
"""

import asyncio
import gc
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from services.clock import now_ms
from services.counter_codec import pack
from services.counters import PartitionState, ReadRequest, ReadResult, SourcePosition
from services.identifiers import Epoch, FrameOffset, PartitionId
from services.keyspace import epoch_prefix, ledger_key, tags
from services.ledger_reading import DAY_S, read_ledger
from services.log_reader import LogReader, Span
from services.memory_counters import MemoryCounterStore
from services.settings import KafkaSettings, Settings, TopicSettings

pytestmark = pytest.mark.unit

AT_ONCE_S = 0.02
"""In which 99 of 100 requests of users are answered (`make bench-api`)."""

TRIES = 3
"""The quietest counts: in a virtual machine the processor's time may include what its host took away."""

SOURCES, PARTITIONS, DAYS = 8, 4, 40


@asynccontextmanager
async def longest_turn() -> AsyncIterator[list[float]]:
    """Yield a list that gets for how long the loop's thread worked at most between two turns of another task."""
    longest, last = [0.0], time.thread_time()

    async def turn() -> None:
        nonlocal last
        while True:
            await asyncio.sleep(0)
            now = time.thread_time()
            longest[0] = max(longest[0], now - last)
            last = now

    turning = asyncio.create_task(turn())
    # What other tests of this process left is looked through by the collector now and then; a role freezes it.
    gc.disable()
    try:
        yield longest
    finally:
        gc.enable()
        turning.cancel()
        await asyncio.gather(turning, return_exceptions=True)


class DistantStore(MemoryCounterStore):
    """A store in memory whose answers come from elsewhere: others run meanwhile."""

    async def read(self, partition: PartitionId, request: ReadRequest) -> ReadResult:
        await asyncio.sleep(0)
        return await super().read(partition, request)


async def full_store() -> MemoryCounterStore:
    """Return a store with a row for each hour of all days that are kept, of every source partition in every slot."""
    store = DistantStore(PARTITIONS)
    at_ms = now_ms()
    row = pack(np.array([[3, 3, 0, 0, 0]]), 5)[0]
    sources = [("usage.events", number) for number in range(SOURCES)]
    today = at_ms // 1000 // DAY_S
    for number, tag in enumerate(tags(PARTITIONS)):
        state = PartitionState(
            epoch=Epoch(1),
            applied_offset=FrameOffset(1),
            frame_id=None,
            partitions=PARTITIONS,
            fingerprint="f",
            source_partitions={"usage.events": SOURCES},
            sources=dict.fromkeys(sources, SourcePosition(next_offset=1, read_up_to_ms=at_ms)),
        )
        await store.begin(PartitionId(number), state)
        prefix = epoch_prefix(tag, Epoch(1))
        for source in sources:
            for day in range(today - DAYS, today):
                store.partitions[number].hashes[ledger_key(prefix, *source, day)] = {
                    b"%d" % hour: row for hour in range(24)
                }
    return store


async def test_a_whole_ledger_is_read_in_slices() -> None:
    settings, store = Settings(topics=TopicSettings(frames_partitions=PARTITIONS)), await full_store()
    turns_s: list[float] = []
    began_s = time.process_time()
    for _ in range(TRIES):
        async with longest_turn() as longest:
            ledger = await read_ledger(settings, store)
        assert len(ledger.hours) == SOURCES * DAYS * 24
        turns_s += longest
    assert min(turns_s) < AT_ONCE_S < (time.process_time() - began_s) / TRIES


class FetchedLog:
    """A consumer that has fetched a whole log, and makes records of it when it is asked."""

    def __init__(self, records: int) -> None:
        self._end = records
        self._at = 0

    def assign(self, partitions: Sequence[TopicPartition]) -> None:
        self._assigned = set(partitions)

    def assignment(self) -> set[TopicPartition]:
        return self._assigned

    def seek(self, partition: TopicPartition, offset: int) -> None:
        self._at = offset

    def pause(self, *partitions: TopicPartition) -> None:
        return

    async def position(self, partition: TopicPartition) -> int:
        return self._at

    async def getmany(self, *, timeout_ms: int, max_records: int | None = None) -> Mapping[TopicPartition, list[Any]]:
        first, self._at = self._at, min(self._end, self._at + (max_records or self._end))
        [partition] = self._assigned
        return {partition: [self._record(offset) for offset in range(first, self._at)]}

    def _record(self, offset: int) -> Any:
        return SimpleNamespace(offset=offset, headers=[("a", b"b")] * 10)


async def test_what_was_fetched_is_looked_at_in_slices() -> None:
    records = 100_000
    turns_s: list[float] = []
    began_s = time.process_time()
    for _ in range(TRIES):
        log = LogReader(cast(AIOKafkaConsumer, FetchedLog(records)), KafkaSettings())
        seen = 0
        async with longest_turn() as longest:
            async for _ in log.records([Span(topic="t", partition=0, begin=0, end=records)]):
                seen += 1
        assert seen == records
        turns_s += longest
    assert min(turns_s) < AT_ONCE_S < (time.process_time() - began_s) / TRIES
