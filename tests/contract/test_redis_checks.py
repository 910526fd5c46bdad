"""What is checked of a real server before anything is counted on it."""

from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from services.counters import StoreRefused, StoreUnavailable
from services.keyspace import ROLLBACKS_KEY
from services.redis_checks import check_partitions, check_server
from services.redis_client import connect
from services.redis_rollbacks import note_rollback, rollbacks
from services.settings import RedisSettings


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[Redis]:
    client = connect(RedisSettings(url=redis_url))
    yield client
    await client.aclose()


async def test_an_evicting_server_is_refused(client: Redis) -> None:
    await check_server(client)
    try:
        await client.config_set("maxmemory-policy", "allkeys-lru")
        with pytest.raises(StoreRefused, match="allkeys-lru"):
            await check_server(client)
    finally:
        await client.config_set("maxmemory-policy", "noeviction")


async def test_counters_made_with_other_partitions_are_refused_though_their_tags_are_others(client: Redis) -> None:
    await check_partitions(client, 16)
    await check_partitions(client, 16)
    with pytest.raises(StoreRefused, match=r"16 partitions .* the settings say 32"):
        await check_partitions(client, 32)


async def test_a_rollback_is_counted_once_and_also_when_its_count_was_lost(client: Redis) -> None:
    assert await rollbacks(client) == 0
    await note_rollback(client, 0)
    await note_rollback(client, 0)
    assert await rollbacks(client) == 1
    await client.delete(ROLLBACKS_KEY)
    await note_rollback(client, 1)
    assert await rollbacks(client) == 2


async def test_a_rollback_that_cannot_be_counted_keeps_nobody_waiting() -> None:
    client = connect(RedisSettings(url="redis://127.0.0.1:1/0"))
    await note_rollback(client, 0)
    with pytest.raises(StoreUnavailable):
        await rollbacks(client)
    await client.aclose()


async def test_a_server_that_is_away_is_unavailable() -> None:
    client = connect(RedisSettings(url="redis://127.0.0.1:1/0"))
    with pytest.raises(StoreUnavailable):
        await check_server(client)
    with pytest.raises(StoreUnavailable):
        await check_partitions(client, 16)
    await client.aclose()
