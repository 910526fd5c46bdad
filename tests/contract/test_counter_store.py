"""What every counter store must do: one suite over the in-memory reference and a real Redis or Valkey."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from services.counters import (
    NOTHING_APPLIED,
    Applied,
    ApplyRequest,
    CounterStore,
    Crash,
    Duplicate,
    Gap,
    PartitionState,
    ReadRequest,
    SourcePosition,
    StoreRefused,
    StoreUnavailable,
    WrongEpoch,
)
from services.identifiers import Epoch, FrameId, FrameOffset, PartitionId
from services.keyspace import epoch_prefix, state_key, tags
from services.memory_counters import MemoryCounterStore
from services.redis_calls import redis_calls
from services.redis_client import connect
from services.redis_counters import RedisCounterStore
from services.settings import RedisSettings

PARTITIONS = 4
PARTITION = PartitionId(2)
PREFIX = epoch_prefix(tags(PARTITIONS)[PARTITION], Epoch(1))
BEGUN = PartitionState(
    epoch=Epoch(1), applied_offset=NOTHING_APPLIED, frame_id=None, partitions=PARTITIONS, fingerprint="f"
)


@pytest.fixture(params=["memory", "redis", "redis, reads on connections of their own"])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[CounterStore]:
    if request.param == "memory":
        yield MemoryCounterStore(PARTITIONS)
        return
    settings = RedisSettings(url=request.getfixturevalue("redis_url"))
    client, reads = connect(settings), redis_calls(settings, timeout_s=5, connections=2)
    yield RedisCounterStore(client, PARTITIONS, None if request.param == "redis" else reads.call)
    await reads.aclose()
    await client.aclose()


def run_of(first: int, last: int, **changes: Any) -> ApplyRequest:
    request = ApplyRequest(
        epoch=Epoch(1),
        first=FrameOffset(first),
        last=FrameOffset(last),
        frame_id=FrameId(2**64 - 1 - last),
        source_partitions={"events": 2},
        sources={("events", 1): SourcePosition(next_offset=last * 10, read_up_to_ms=1_700_000_000_000)},
        months={682: FrameId(2**64 - 1 - last), last: FrameId(7)},
        hashes=[[f"{PREFIX}h:acme/1", "0", b"\x00\xff", "1", b"x" * 60]],
        hash_expiry_s=[0],
        sets=[[f"{PREFIX}x:1/0/0", str(-(2**63)), str(2**63 - 1), "5"]],
        living_sets=[[f"{PREFIX}x:1/0/1", "7"]],
        living_hashes=[[f"{PREFIX}x:1", "0", "16:3"]],
    )
    return replace(request, **changes)


async def test_a_partition_without_a_state_has_none(store: CounterStore) -> None:
    assert await store.state(PARTITION) is None
    assert (await store.read(PARTITION, ReadRequest())).state is None


@pytest.mark.parametrize(("lives_s", "ttls"), [(0, {-1}), (60, set(range(30, 61)))])
async def test_a_state_is_begun_with_its_end(redis_url: str, lives_s: int, ttls: set[int]) -> None:
    """In one step: a process that is killed after any other leaves no state for ever."""
    async with connect(RedisSettings(url=redis_url)) as client:
        store = RedisCounterStore(client, PARTITIONS)
        await store.begin(PARTITION, BEGUN, lives_s=lives_s)
        assert await client.ttl(state_key(tags(PARTITIONS)[PARTITION])) in ttls
        assert await store.state(PARTITION) == BEGUN


async def test_a_state_is_begun_once(store: CounterStore) -> None:
    assert await store.begin(PARTITION, BEGUN) == BEGUN
    other = replace(BEGUN, applied_offset=FrameOffset(7), fingerprint="other")
    assert await store.begin(PARTITION, other) == BEGUN
    assert await store.state(PARTITION) == BEGUN


async def test_a_run_changes_everything_in_one_step(store: CounterStore) -> None:
    await store.begin(PARTITION, BEGUN)
    request = run_of(0, 3)
    assert await store.apply(PARTITION, request) == Applied()
    read = await store.read(
        PARTITION,
        ReadRequest(
            fields=[[f"{PREFIX}h:acme/1", "1", "2", "0"], [f"{PREFIX}h:nobody/1", "0"]],
            members=[[f"{PREFIX}x:1/0/0", "5", "6", str(2**63 - 1), str(-(2**63))], [f"{PREFIX}x:2/0/0", "5"]],
            whole=[f"{PREFIX}x:1", f"{PREFIX}x:2"],
        ),
    )
    assert read.state == replace(
        BEGUN,
        applied_offset=FrameOffset(3),
        frame_id=request.frame_id,
        source_partitions=request.source_partitions,
        sources=request.sources,
        months=request.months,
    )
    assert list(read.fields) == [b"x" * 60, None, b"\x00\xff", None]
    assert list(read.members) == [1, 0, 1, 1, 0]
    assert list(read.whole) == [{b"0": b"16:3"}, {}]


async def test_a_run_at_or_below_the_applied_offset_is_a_duplicate_and_changes_nothing(store: CounterStore) -> None:
    await store.begin(PARTITION, BEGUN)
    await store.apply(PARTITION, run_of(0, 3))
    before = await contents(store)
    for first, last in ((0, 3), (2, 2), (3, 9)):
        again = run_of(first, last, hashes=[[f"{PREFIX}h:acme/1", "0", b"wrong"]])
        assert await store.apply(PARTITION, again) == Duplicate(FrameOffset(3))
    assert await contents(store) == before


async def test_a_run_beyond_the_next_offset_is_a_gap_and_changes_nothing(store: CounterStore) -> None:
    await store.begin(PARTITION, BEGUN)
    before = await contents(store)
    assert await store.apply(PARTITION, run_of(1, 1)) == Gap(NOTHING_APPLIED)
    assert await contents(store) == before


async def test_a_run_of_another_epoch_changes_nothing(store: CounterStore) -> None:
    assert await store.apply(PARTITION, run_of(0, 0)) == WrongEpoch(None)
    await store.begin(PARTITION, BEGUN)
    assert await store.apply(PARTITION, run_of(0, 0, epoch=Epoch(2))) == WrongEpoch(Epoch(1))
    assert await store.state(PARTITION) == BEGUN


async def test_equal_crashes_are_counted_until_the_frame_is_applied(store: CounterStore) -> None:
    async def crash(first: int, last: int, cause: str, epoch: int = 1) -> int:
        return await store.count_crash(PARTITION, Epoch(epoch), FrameOffset(first), FrameOffset(last), cause)

    assert await crash(0, 0, "a") == 0
    await store.begin(PARTITION, BEGUN)
    for elsewhere in ((1, 1, "a"), (0, 0, "a", 2)):
        assert await crash(*elsewhere) == 0
    assert await store.state(PARTITION) == BEGUN
    assert [await crash(0, 7, "a, (b)"), await crash(0, 0, "a, (b)")] == [1, 2]
    expected = Crash(first=FrameOffset(0), last=FrameOffset(0), cause="a, (b)", count=2)
    assert await store.state(PARTITION) == replace(BEGUN, crash=expected)
    assert await crash(0, 0, "another") == 1
    await store.apply(PARTITION, run_of(0, 0))
    state = await store.state(PARTITION)
    assert state is not None
    assert state.crash is None
    assert [await crash(0, 0, "another"), await crash(1, 1, "another")] == [0, 1]


async def test_positions_of_other_sources_stay(store: CounterStore) -> None:
    await store.begin(PARTITION, BEGUN)
    await store.apply(PARTITION, run_of(0, 0))
    elsewhere = {("events", 0): SourcePosition(next_offset=4, read_up_to_ms=None)}
    await store.apply(PARTITION, run_of(1, 1, sources=elsewhere))
    state = await store.state(PARTITION)
    assert state is not None
    assert state.sources == {**run_of(0, 0).sources, **elsewhere}


async def test_groups_beyond_what_a_script_can_unpack_are_read_and_written(store: CounterStore) -> None:
    await store.begin(PARTITION, BEGUN)
    fields = [str(number) for number in range(10_000)]
    entries: list[str | bytes] = [part for name in fields for part in (name, name.encode())]
    request = run_of(
        0, 0, hashes=[[f"{PREFIX}i:acme", *entries]], hash_expiry_s=[0], sets=[[f"{PREFIX}x:1/0/0", *fields]]
    )
    assert await store.apply(PARTITION, request) == Applied()
    wanted = ReadRequest(fields=[[f"{PREFIX}i:acme", *fields]], members=[[f"{PREFIX}x:1/0/0", *fields]])
    read = await store.read(PARTITION, wanted)
    assert list(read.fields) == [name.encode() for name in fields]
    assert sum(read.members) == 10_000


async def test_more_sources_than_a_script_can_unpack_are_held(store: CounterStore) -> None:
    await store.begin(PARTITION, BEGUN)
    sources = {("events", number): SourcePosition(next_offset=number, read_up_to_ms=None) for number in range(5_000)}
    assert await store.apply(PARTITION, run_of(0, 0, sources=sources)) == Applied()
    state = await store.state(PARTITION)
    assert state is not None
    assert state.sources == sources
    assert state.applied_offset == 0


async def test_keys_come_once_each_and_of_one_partition_only(store: CounterStore) -> None:
    await store.begin(PARTITION, BEGUN)
    await store.apply(PARTITION, run_of(0, 0))
    keys = [key async for key in store.keys(PARTITION) if not key.endswith(":state")]
    assert sorted(keys) == [f"{PREFIX}h:acme/1", *(f"{PREFIX}x:1{end}" for end in ("", "/0/0", "/0/1"))]
    assert [key async for key in store.keys(PartitionId(1))] == []


async def contents(store: CounterStore) -> object:
    request = ReadRequest(
        whole=[f"{PREFIX}h:acme/1", f"{PREFIX}x:1"], members=[[f"{PREFIX}x:1/0/0", "5", "6"], [f"{PREFIX}x:1/0/1", "7"]]
    )
    return await store.read(PARTITION, request)


async def test_redis_ends_what_has_an_end_and_keeps_the_rest(redis_url: str) -> None:
    client = connect(RedisSettings(url=redis_url))
    store = RedisCounterStore(client, PARTITIONS)
    await store.begin(PARTITION, BEGUN)
    hour, ledger = f"{PREFIX}h:acme/1", f"{PREFIX}l:events/0/1"
    far = 4_000_000_000
    await store.apply(
        PARTITION,
        run_of(0, 0, hashes=[[hour, "0", b"a"], [ledger, "0", b"b"]], hash_expiry_s=[far, 0], lifetime_s=1000),
    )
    assert await client.expiretime(hour) == far
    assert await client.ttl(ledger) == -1
    assert await client.ttl(f"{PREFIX}x:1/0/0") == -1
    assert 990 < await client.ttl(f"{PREFIX}x:1/0/1") <= 1000
    assert 990 < await client.ttl(f"{PREFIX}x:1") <= 1000
    living = f"{PREFIX}x:1/0/1"
    await store.apply(PARTITION, run_of(1, 1, sets=[[living, "8"]], living_sets=[], lifetime_s=5000))
    assert 990 < await client.ttl(living) <= 1000
    assert await client.smismember(living, ["7", "8"]) == [1, 1]
    await client.aclose()


async def test_redis_that_is_away_is_unavailable_not_refused() -> None:
    client = connect(RedisSettings(url="redis://127.0.0.1:1/0"), timeout_s=0.5)
    with pytest.raises(StoreUnavailable):
        await RedisCounterStore(client, PARTITIONS).state(PARTITION)
    await client.aclose()


async def test_redis_holding_something_else_is_refused_before_any_write(redis_url: str) -> None:
    client = connect(RedisSettings(url=redis_url))
    store = RedisCounterStore(client, PARTITIONS)
    await store.begin(PARTITION, BEGUN)
    await client.set(f"{PREFIX}h:acme/1", "a string")
    with pytest.raises(StoreRefused, match="another type of value under a key of Tidemark's"):
        await store.read(PARTITION, ReadRequest(fields=[[f"{PREFIX}h:acme/1", "0"]]))
    await client.aclose()


async def test_redis_full_is_unavailable_and_holds_nothing_of_the_run(redis_url: str) -> None:
    client = connect(RedisSettings(url=redis_url))
    store = RedisCounterStore(client, PARTITIONS)
    await store.begin(PARTITION, BEGUN)
    await client.config_set("maxmemory", 1)
    try:
        with pytest.raises(StoreUnavailable):
            await store.apply(PARTITION, run_of(0, 0))
        assert await store.state(PARTITION) == BEGUN
        assert not await client.exists(f"{PREFIX}h:acme/1", f"{PREFIX}x:1")
    finally:
        await client.config_set("maxmemory", 0)
    assert await store.apply(PARTITION, run_of(0, 0)) == Applied()
    await client.aclose()


async def test_a_server_that_forgot_the_scripts_gets_them_again(redis_url: str) -> None:
    client = connect(RedisSettings(url=redis_url))
    store = RedisCounterStore(client, PARTITIONS)
    await store.begin(PARTITION, BEGUN)
    await store.apply(PARTITION, run_of(0, 0))
    await client.script_flush()
    assert await store.apply(PARTITION, run_of(1, 1)) == Applied()
    await client.aclose()
