"""Bytes of Redis: of the identities that are kept, and of the cells of so many users over so many days."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any, Final, cast

import numpy as np
import redis

from aggregator.dedup import additions
from aggregator.renewals import Renewals
from aggregator.run import Run
from services.clock import now_ms
from services.counters import NOTHING_APPLIED, Applied, ApplyRequest, PartitionState
from services.dedup_index import PERIOD_MS, Generation
from services.identifiers import Epoch, FrameId, FrameOffset, PartitionId
from services.keyspace import epoch_prefix, tags
from services.redis_client import connect
from services.redis_counters import RedisCounterStore
from services.settings import RedisSettings
from services.windows import DAY_MS
from tests.bench import redis_memory
from tests.bench.curves.throughput import BENCH, run_once
from tests.bench.redis_memory import CELL_KINDS, ID_KINDS
from tests.bench.workload import Workload
from tests.support import servers

AT_ONCE: Final = 20_000
PARTITIONS: Final = 16
PERIODS: Final = 5
"""Of a week each: what the dedup window spans."""

EVENTS_A_USER_AND_DAY: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryPoint:
    """`count` identities or cells, and the bytes that they take together."""

    label: str
    count: int
    bytes: int

    def figures(self) -> dict[str, Any]:
        return {
            "x": self.count,
            "label": self.label,
            "bytes": self.bytes,
            "bytesEach": round(self.bytes / self.count, 1),
        }


def by_ids(counts: tuple[int, ...] = (1_000_000, 10_000_000, 50_000_000)) -> Iterator[MemoryPoint]:
    """Keep so many identities, spread over all partitions and the weeks of the dedup window."""
    for count in counts:
        store = servers.start_redis()
        try:
            asyncio.run(_fill(store.url, count))
            with redis.Redis.from_url(store.url) as client:
                memory = redis_memory.measure(client, 0)
            assert memory.ids == count
            yield MemoryPoint(label=f"{count:,} ids", count=count, bytes=memory.of(ID_KINDS))
        finally:
            store.close()


def by_users_and_days() -> Iterator[MemoryPoint]:
    """Count events of so many users over so many days; what is told is bytes against cells."""
    for users, days in ((1_000, 3), (1_000, 30), (10_000, 3), (10_000, 30)):
        shape = replace(BENCH, users=users, span_ms=days * DAY_MS)
        events = users * days * EVENTS_A_USER_AND_DAY
        workload = Workload(events=events, seed=11, end_ms=now_ms() // 1000 * 1000, shape=shape)
        memory = run_once(workload).memory
        yield MemoryPoint(label=f"{users:,} users, {days} days", count=users * days, bytes=memory.of(CELL_KINDS))


async def _fill(url: str, count: int) -> None:
    client = connect(RedisSettings(url=url))
    store = RedisCounterStore(client, PARTITIONS)
    rng = np.random.default_rng(7)
    share = count // (PARTITIONS * PERIODS)
    for number, tag in enumerate(tags(PARTITIONS)):
        partition, prefix, renewals = PartitionId(number), epoch_prefix(tag, Epoch(1)), Renewals()
        state = PartitionState(
            epoch=Epoch(1), applied_offset=NOTHING_APPLIED, frame_id=None, partitions=PARTITIONS, fingerprint="f"
        )
        await store.begin(partition, state)
        periods: dict[int, tuple[Generation, ...]] = dict.fromkeys(range(-1, PERIODS + 1), ())
        offset = 0
        for period in range(PERIODS):
            for start in range(0, share, AT_ONCE):
                size = min(AT_ONCE, share - start)
                identity = rng.integers(-(2**63), 2**63, size, dtype=np.int64)
                run = cast(Run, SimpleNamespace(identity=identity, time_ms=np.full(size, period * PERIOD_MS)))
                texts = [str(each) for each in identity.tolist()]
                added = additions(run, texts, np.ones(size, dtype=np.bool_), periods, prefix, renewals, 0)
                periods |= added.periods
                request = ApplyRequest(
                    epoch=Epoch(1),
                    first=FrameOffset(offset),
                    last=FrameOffset(offset),
                    frame_id=FrameId(1),
                    sets=[*added.sets, *added.living_sets],
                    living_hashes=added.hashes,
                    lifetime_s=3_600,
                )
                assert await store.apply(partition, request) == Applied()
                offset += 1
    await client.aclose()
