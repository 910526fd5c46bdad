"""A key that somebody else wrote is found before a run's first write, whichever of the run's keys it is."""

import re
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from redis.asyncio import Redis

from services.counters import NOTHING_APPLIED, Applied, ApplyRequest, PartitionState, StoreRefused
from services.identifiers import Epoch, FrameId, FrameOffset, PartitionId
from services.keyspace import epoch_prefix, tags
from services.redis_client import connect
from services.redis_counters import RedisCounterStore
from services.settings import RedisSettings

pytestmark = pytest.mark.contract

PARTITION = PartitionId(0)
PREFIX = epoch_prefix(tags(1)[PARTITION], Epoch(1))
HASHES = [f"{PREFIX}h:acme/1", f"{PREFIX}d:acme/1"]
SETS = [f"{PREFIX}x:1/0/0", f"{PREFIX}x:1/0/1"]
LIVING_SET = f"{PREFIX}x:1/0/2"
LIVING = f"{PREFIX}x:1"
RUN = ApplyRequest(
    epoch=Epoch(1),
    first=FrameOffset(0),
    last=FrameOffset(0),
    frame_id=FrameId(7),
    hashes=[[key, "0", b"\x01\x01"] for key in HASHES],
    hash_expiry_s=[0, 0],
    sets=[[key, "5"] for key in SETS],
    living_sets=[[LIVING_SET, "5"]],
    living_hashes=[[LIVING, "0", "16:3"]],
)


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[Redis]:
    client = connect(RedisSettings(url=redis_url))
    yield client
    await client.aclose()


async def whole(client: Redis) -> dict[bytes, bytes | None]:
    return {key: await client.dump(key) async for key in client.scan_iter()}


@pytest.mark.parametrize("key", [*HASHES, *SETS, LIVING_SET, LIVING])
async def test_a_run_with_a_key_of_another_type_changes_nothing(client: Redis, key: str) -> None:
    store = RedisCounterStore(client, 1)
    await store.begin(
        PARTITION,
        PartitionState(epoch=Epoch(1), applied_offset=NOTHING_APPLIED, frame_id=None, partitions=1, fingerprint="f"),
    )
    await client.set(key, "a stranger's")
    before = await whole(client)
    with pytest.raises(StoreRefused, match=re.escape(key) + " in Redis is of another type"):
        await store.apply(PARTITION, RUN)
    assert await whole(client) == before
    await client.delete(key)
    assert await store.apply(PARTITION, RUN) == Applied()


class BeforeRedis7(RedisCounterStore):
    """A store whose apply script cannot ask the server what its user may do, as on Redis 6.2."""

    def __init__(self, client: Redis, partitions: int) -> None:
        super().__init__(client, partitions)
        self._apply._text = self._apply._text.replace("redis.acl_check_cmd", "nil")


@pytest.mark.parametrize("make", [RedisCounterStore, BeforeRedis7])
@pytest.mark.parametrize("command", ["hmget", "hlen", "scard", "hset", "sadd", "expire", "expireat"])
async def test_a_run_of_a_user_who_lacks_a_command_changes_nothing_and_names_it(
    client: Redis, command: str, make: type[RedisCounterStore]
) -> None:
    await RedisCounterStore(client, 1).begin(
        PARTITION,
        PartitionState(epoch=Epoch(1), applied_offset=NOTHING_APPLIED, frame_id=None, partitions=1, fingerprint="f"),
    )
    address = client.connection_pool.connection_kwargs
    rules = ["~*", "+@all", f"-{command}"]
    await client.execute_command("ACL", "SETUSER", "lacking", "on", "resetpass", ">secret", "resetkeys", *rules)  # type: ignore[no-untyped-call]
    url = f"redis://lacking:secret@{address['host']}:{address['port']}/{address['db']}"
    lacking = connect(RedisSettings(url=url))
    before = await whole(client)
    try:
        with pytest.raises(StoreRefused, match=f"(?i)may not run .*{command}|run the '{command}'"):
            await make(lacking, 1).apply(PARTITION, replace(RUN, lifetime_s=60))
    finally:
        await lacking.aclose()
        await client.execute_command("ACL", "DELUSER", "lacking")  # type: ignore[no-untyped-call]
    assert await whole(client) == before
    assert await make(client, 1).apply(PARTITION, RUN) == Applied()
