"""Shadow epochs on a real Redis: the swap happens whole or not at all, one run at a time, epochs that are new."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from redis.asyncio import Redis

from services.counters import NOTHING_APPLIED, ApplyRequest, PartitionState, ReadRequest, StoreRefused
from services.identifiers import Epoch, FrameId, FrameOffset, PartitionId
from services.keyspace import SHADOW_RUN_KEY, epoch_of, epoch_prefix, shadow_key, state_key, tags
from services.redis_client import connect
from services.redis_counters import RedisCounterStore
from services.redis_shadows import RedisShadows
from services.settings import RedisSettings

PARTITIONS = 4
PARTITION = PartitionId(2)
TAG = tags(PARTITIONS)[PARTITION]
LIVE, NEW = Epoch(1), Epoch(7)
BEGUN = PartitionState(
    epoch=LIVE, applied_offset=NOTHING_APPLIED, frame_id=None, partitions=PARTITIONS, fingerprint="f"
)


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[Redis]:
    client = connect(RedisSettings(url=redis_url))
    yield client
    await client.aclose()


def run_of(epoch: Epoch, last: int, frame: int) -> ApplyRequest:
    return ApplyRequest(
        epoch=epoch,
        first=FrameOffset(0),
        last=FrameOffset(last),
        frame_id=FrameId(frame),
        months={600: FrameId(frame)},
        hashes=[[f"{epoch_prefix(TAG, epoch)}h:acme/1", "0", b"v%d" % epoch]],
        hash_expiry_s=[0],
    )


async def stores(client: Redis, live_frame: int, live_last: int = 3) -> tuple[RedisCounterStore, PartitionState]:
    """Return the live store beside a shadow that stands at frame 3, whose id is 33, and the shadow's state."""
    live = RedisCounterStore(client, PARTITIONS)
    shadow = RedisCounterStore(client, PARTITIONS, state_key=shadow_key)
    await live.begin(PARTITION, BEGUN)
    await shadow.begin(PARTITION, replace(BEGUN, epoch=NEW))
    await live.apply(PARTITION, run_of(LIVE, live_last, live_frame))
    await shadow.apply(PARTITION, run_of(NEW, 3, 33))
    state = await shadow.state(PARTITION)
    assert state is not None
    return live, state


async def test_a_shadow_at_the_same_frame_takes_the_live_ones_place_in_one_step(client: Redis) -> None:
    live, shadow = await stores(client, live_frame=33)
    await client.expire(shadow_key(TAG), 100)
    assert await RedisShadows(client, PARTITIONS).swap(PARTITION, replace(shadow, epoch=LIVE), shadow)
    assert await live.state(PARTITION) == shadow
    assert await client.ttl(state_key(TAG)) == -1
    assert not await client.exists(shadow_key(TAG))
    key = f"{epoch_prefix(TAG, NEW)}h:acme/1"
    assert (await live.read(PARTITION, ReadRequest(whole=[key]))).whole == [{b"0": b"v7"}]


@pytest.mark.parametrize(("live_frame", "live_last", "live_epoch"), [(34, 3, 1), (33, 4, 1), (33, 2, 1), (33, 3, 2)])
async def test_a_live_epoch_that_stands_elsewhere_stays(
    client: Redis, live_frame: int, live_last: int, live_epoch: int
) -> None:
    live, shadow = await stores(client, live_frame, live_last)
    before = await live.state(PARTITION)
    assert not await RedisShadows(client, PARTITIONS).swap(PARTITION, replace(shadow, epoch=Epoch(live_epoch)), shadow)
    assert await live.state(PARTITION) == before
    assert await client.exists(shadow_key(TAG))


@pytest.mark.parametrize(
    "changes", [{"epoch": Epoch(8)}, {"applied_offset": FrameOffset(2)}, {"frame_id": FrameId(1)}, {"frame_id": None}]
)
async def test_a_shadow_that_is_another_one_by_now_is_refused(client: Redis, changes: dict[str, int]) -> None:
    live, shadow = await stores(client, live_frame=33)
    before = await live.state(PARTITION)
    other = PartitionState(**{**{name: getattr(shadow, name) for name in PartitionState.__slots__}, **changes})
    with pytest.raises(StoreRefused, match="another run took it over"):
        await RedisShadows(client, PARTITIONS).swap(PARTITION, replace(shadow, epoch=LIVE), other)
    assert await live.state(PARTITION) == before


async def test_counters_of_another_log_are_replaced_where_they_were_seen(client: Redis) -> None:
    live, shadow = await stores(client, live_frame=99, live_last=8)
    seen = await live.state(PARTITION)
    assert seen is not None
    shadows = RedisShadows(client, PARTITIONS)
    assert not await shadows.swap(PARTITION, replace(seen, applied_offset=FrameOffset(7)), shadow)
    assert await shadows.swap(PARTITION, seen, shadow)
    assert await live.state(PARTITION) == shadow


async def test_partitions_without_a_frame_are_swapped_too(client: Redis) -> None:
    live = RedisCounterStore(client, PARTITIONS)
    shadow = RedisCounterStore(client, PARTITIONS, state_key=shadow_key)
    await live.begin(PARTITION, BEGUN)
    begun = await shadow.begin(PARTITION, replace(BEGUN, epoch=NEW))
    assert await RedisShadows(client, PARTITIONS).swap(PARTITION, BEGUN, begun)
    assert await live.state(PARTITION) == begun


async def test_one_run_at_a_time_and_a_lease_that_was_over_is_taken_again(client: Redis) -> None:
    shadows = RedisShadows(client, PARTITIONS)
    assert await shadows.take_run("a")
    assert not await shadows.take_run("b")
    assert await shadows.keep_run("a")
    assert not await shadows.keep_run("b")
    assert 0 < await client.pttl(SHADOW_RUN_KEY) <= 3_000
    await shadows.end_run("b")
    assert await client.exists(SHADOW_RUN_KEY)
    await client.delete(SHADOW_RUN_KEY)
    assert await shadows.keep_run("a")
    await shadows.end_run("a")
    assert not await client.exists(SHADOW_RUN_KEY)


async def test_epochs_are_new_each_time_and_above_the_live_one(client: Redis) -> None:
    shadows = RedisShadows(client, PARTITIONS)
    found = [await shadows.new_epoch(Epoch(live)) for live in (1, 1, 3, 9, 2)]
    assert found == [2, 3, 4, 10, 11]


async def test_keys_are_ended_listed_and_taken_away(client: Redis) -> None:
    shadows = RedisShadows(client, PARTITIONS)
    keys = [f"{epoch_prefix(TAG, NEW)}x:1/0/{number}" for number in range(3)]
    for key in keys[:2]:
        await client.sadd(key, 5, -6)
    await shadows.end_in(keys, 50)
    assert 0 < await client.ttl(keys[0]) <= 50
    members = await shadows.members(keys)
    assert [sorted(each) for each in members] == [[b"-6", b"5"], [b"-6", b"5"], []]
    assert await shadows.unlink(PARTITION, NEW, keys) is None
    await stores(client, live_frame=33)
    assert await shadows.unlink(PARTITION, LIVE, [f"{epoch_prefix(TAG, LIVE)}h:acme/1"]) is None
    assert await client.exists(*keys, f"{epoch_prefix(TAG, LIVE)}h:acme/1") == 3
    cursor, names = await shadows.page_of_keys(0, PARTITION)
    assert (cursor, len(names)) == (0, 4)
    assert await shadows.page_of_keys(0, PartitionId(1)) == (0, [])
    cursor, names = await shadows.page_of_keys(0)
    while cursor:  # one page or more for each master of a cluster
        cursor, more = await shadows.page_of_keys(cursor)
        names += more
    assert len(names) == 4
    assert await shadows.unlink(PARTITION, NEW, keys) == 2
    assert await client.exists(*keys) == 0
    await shadows.drop_state(PARTITION, Epoch(6))
    assert await client.exists(shadow_key(TAG))
    await shadows.drop_state(PARTITION, NEW)
    assert not await client.exists(shadow_key(TAG))


def test_a_key_says_its_epoch() -> None:
    assert epoch_of(f"{epoch_prefix(TAG, NEW)}h:acme/e9:1", TAG) == NEW
    for other in (state_key(TAG), shadow_key(TAG), f"tm:{{{TAG}}}:e:h", f"tm:{{{TAG}}}:ex:h", f"tm:{{{TAG}}}:e7"):
        assert epoch_of(other, TAG) is None
