"""Large user indexes, read in slices of both sides while users come, are compared as if they stood still."""

from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any, cast

import pytest
from redis.asyncio import Redis

from aggregator import both_sides
from aggregator.both_sides import BothSides
from aggregator.branch import Keeping
from aggregator.comparing import index_differences
from aggregator.shadow import Shadow
from aggregator.shadow_run import ShadowRun
from services.counters import NOTHING_APPLIED, PartitionState
from services.identifiers import Epoch, FrameOffset, PartitionId
from services.keyspace import COUNT_FIELD, epoch_prefix, tags
from services.redis_client import connect
from services.redis_counters import RedisCounterStore
from services.redis_shadows import RedisShadows
from services.settings import RedisSettings

PARTITION = PartitionId(0)
TAG = tags(1)[PARTITION]
LIVE, LOG = (epoch_prefix(TAG, Epoch(epoch)) for epoch in (1, 7))
USERS = 5_000
STATE = PartitionState(epoch=Epoch(1), applied_offset=NOTHING_APPLIED, frame_id=None, partitions=1, fingerprint="f")


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[Redis]:
    client = connect(RedisSettings(url=redis_url))
    yield client
    await client.aclose()


async def have(client: Redis, prefix: str, first: int, last: int) -> None:
    """Give an index the users of some ordinals."""
    fields: Any = {f"user-{number}".encode(): b"%d" % number for number in range(first, last)}
    await client.hset(f"{prefix}i:acme", mapping=fields | {COUNT_FIELD: b"%d" % last})


class Comer:
    """A shadow; whenever it follows, users have come to both sides."""

    partition, live_epoch, epoch = PARTITION, Epoch(1), Epoch(7)

    def __init__(self, client: Redis) -> None:
        self._client = client
        self.users = USERS

    async def follow(self, _: PartitionState) -> FrameOffset:
        self.users += 100
        for prefix in (LIVE, LOG):
            await have(self._client, prefix, self.users - 100, self.users)
        return NOTHING_APPLIED


async def sides(client: Redis) -> BothSides:
    store, shadows = RedisCounterStore(client, 1), RedisShadows(client, 1)
    await store.begin(PARTITION, STATE)

    async def call(work: Any) -> Any:
        return await work()

    async def state(_: PartitionId) -> PartitionState:
        return STATE

    run = SimpleNamespace(tags=(TAG,), shadows=shadows, live=store, call=call, retrying=call, state=state)
    keeping = Keeping(hours_s=None, days_s=None, ids_s=None)
    return BothSides(cast(ShadowRun, run), cast(Shadow, Comer(client)), keeping, None)


async def test_users_that_come_meanwhile_are_no_differences_and_one_that_is_missing_is(client: Redis) -> None:
    both = await sides(client)
    for prefix in (LIVE, LOG):
        await have(client, prefix, 0, USERS)
    await client.hdel(f"{LIVE}i:acme", "user-4711")
    pair = await both.index("i:acme")
    [difference] = index_differences(PARTITION, {}, *pair)
    assert (difference.place["user"], difference.live, difference.log) == ("user-4711", None, "known")
    assert len(pair[1]) == USERS + 100 + 1


async def test_one_that_only_the_live_index_has_is_a_difference_and_a_wrong_count_is(client: Redis) -> None:
    both = await sides(client)
    for prefix in (LIVE, LOG):
        await have(client, prefix, 0, USERS)
    await client.hset(f"{LIVE}i:acme", "stranger", "4711")
    found = list(index_differences(PARTITION, {}, *(await both.index("i:acme"))))
    assert [each.place.get("user") for each in found] == ["stranger", None]
    assert found[1].live == "two users share an ordinal"


async def test_an_index_is_large_where_either_side_is(client: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(both_sides, "INDEX_WHOLE_MAX", 10)
    monkeypatch.setattr(both_sides, "INDEXES_AT_ONCE", 2)
    both = await sides(client)
    counts = {"a": (10, 10), "b": (11, 0), "c": (0, 11), "d": (None, None), "e": (12, 12)}
    for name, (live, log) in counts.items():
        for prefix, count in ((LIVE, live), (LOG, log)):
            if count is not None:
                await client.hset(f"{prefix}i:{name}", mapping={COUNT_FIELD: b"%d" % count})
    assert await both.large_indexes([f"i:{name}" for name in counts]) == {"i:b", "i:c", "i:e"}
