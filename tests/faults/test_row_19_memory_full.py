"""Row 19: Redis is full and evicts nothing; the worker waits, nothing is half-written, and nothing is thrown away."""

from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import pytest
from redis import Redis as SyncRedis
from redis.asyncio import Redis

from services.counters import NOTHING_APPLIED, Applied, ApplyRequest, PartitionState, StoreUnavailable
from services.identifiers import Epoch, FrameId, FrameOffset, PartitionId
from services.keyspace import epoch_prefix, tags
from services.redis_client import connect
from services.redis_counters import RedisCounterStore
from services.settings import RedisSettings
from tests.faults.redis_states import (
    await_progress,
    await_waiting_frames,
    await_waits_for,
    client,
    lasting_load,
)
from tests.faults.verdict import assert_right
from tests.support.deployment import PARTITIONS, Deployment
from tests.support.pipeline import await_condition
from tests.support.redis_server import RedisServer

pytestmark = [pytest.mark.faults, pytest.mark.guarantee]

FULL = "command not allowed when used memory"
ROOM = 100_000
HASHES = 15_000
STARTS_WITHIN = 1_800_000
"""Bytes above what is used: more than a run's arguments take, and less than what it writes."""
IN_A_CENTURY = 4_900_000_000
PARTITION = PartitionId(0)


def test_a_full_redis_is_waited_for(deploy: Callable[..., Deployment], redis: RedisServer) -> None:
    deployment = deploy()
    _, aggregator = deployment.start("ingest", "aggregator")
    with lasting_load(deployment, 19) as publisher, client(redis) as asked:
        await_progress(deployment, [-1] * PARTITIONS)
        asked.config_set("maxmemory", used(asked) + ROOM)
        await_waits_for(aggregator, FULL)
        retries = aggregator.metric("tidemark_store_retries_total") or 0
        assert retries
        await_waiting_frames(deployment, deployment.applied(), 3)
        await_waits_for(aggregator, FULL)
        await_condition(
            lambda: (aggregator.metric("tidemark_store_retries_total") or 0) > retries, "it calls again", seconds=20
        )
        full = deployment.applied()
        asked.config_set("maxmemory", 0)
        await_progress(deployment, full, 2)
    assert_right(deployment, publisher.published)
    assert not aggregator.exits


@pytest.fixture
async def asynchronous(redis: RedisServer) -> AsyncIterator[Redis]:
    client = connect(RedisSettings(url=redis.url))
    yield client
    await client.aclose()


async def test_the_apply_script_is_refused_before_its_first_write_or_completes(asynchronous: Redis) -> None:
    store = RedisCounterStore(asynchronous, 1)
    state = PartitionState(epoch=Epoch(1), applied_offset=NOTHING_APPLIED, frame_id=None, partitions=1, fingerprint="f")
    await store.begin(PARTITION, state)
    first = run_of_hashes(0)
    small = replace(first, hashes=[], hash_expiry_s=[])
    await store.apply(PARTITION, replace(small, epoch=Epoch(9)))  # loads the script
    limit = int((await asynchronous.info("memory"))["used_memory"]) + STARTS_WITHIN
    await asynchronous.config_set("maxmemory", limit)
    assert await store.apply(PARTITION, first) == Applied()
    assert int((await asynchronous.info("memory"))["used_memory"]) > limit
    assert await asynchronous.dbsize() == 1 + HASHES

    kept = await whole(asynchronous)
    for request in (run_of_hashes(1), replace(small, first=FrameOffset(1), last=FrameOffset(1))):
        with pytest.raises(StoreUnavailable, match=FULL):
            await store.apply(PARTITION, request)
    assert await whole(asynchronous) == kept
    await asynchronous.config_set("maxmemory", 0)
    assert await store.apply(PARTITION, run_of_hashes(1)) == Applied()
    assert await asynchronous.dbsize() == 1 + 2 * HASHES


def run_of_hashes(offset: int) -> ApplyRequest:
    prefix = epoch_prefix(tags(1)[PARTITION], Epoch(1))
    return ApplyRequest(
        epoch=Epoch(1),
        first=FrameOffset(offset),
        last=FrameOffset(offset),
        frame_id=FrameId(offset + 7),
        hashes=[[f"{prefix}h:acme/{offset * HASHES + number}", "0", b"\x01\x01"] for number in range(HASHES)],
        hash_expiry_s=[IN_A_CENTURY] * HASHES,
    )


async def whole(redis: Redis) -> dict[bytes, object]:
    """Return everything in the server."""
    keys = sorted([key async for key in redis.scan_iter(count=5_000)])
    async with redis.pipeline(transaction=False) as calls:
        for key in keys:
            calls.dump(key)
        return dict(zip(keys, await calls.execute(), strict=True))


def used(asked: SyncRedis) -> int:
    return int(asked.info("memory")["used_memory"])
