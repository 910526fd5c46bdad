"""The contract suites of all that lies in Redis, on a Redis Cluster."""

import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from types import ModuleType
from typing import Any

import pytest
from redis.asyncio import Redis

from services.counters import CounterStore, StoreRefused, StoreUnavailable
from services.identifiers import PartitionId
from services.rate_limits import Counted, read_rates
from services.redis_calls import redis_calls
from services.redis_checks import check_server
from services.redis_client import answers, connect
from services.redis_counters import RedisCounterStore
from services.redis_rates import RateCounts, redis_rate_storage
from services.settings import RedisSettings
from tests.contract import test_counter_store, test_shadows
from tests.support.redis_cluster import RedisCluster
from tests.support.redis_cluster import client as client_of
from tests.support.redis_server import RedisServer

pytestmark = [pytest.mark.scaleout, pytest.mark.guarantee, pytest.mark.contract]

ONE_SERVERS = {
    "test_redis_full_is_unavailable_and_holds_nothing_of_the_run",
    "test_a_server_that_forgot_the_scripts_gets_them_again",
}
"""Set or empty the one server that there is; on a cluster the failover stands for them."""


def borrowed(suite: ModuleType) -> Iterator[tuple[str, Callable[..., Any]]]:
    """Yield the tests of a suite that ask for a server, or for something on one."""
    for name, test in vars(suite).items():
        asks = name.startswith("test_") and {"redis_url", "client", "store"} & inspect.signature(test).parameters.keys()
        if asks and name not in ONE_SERVERS:
            yield name, test


@pytest.fixture
def redis_url(redis_cluster: RedisCluster) -> str:
    return redis_cluster.url


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[Redis]:
    client = connect(RedisSettings(url=redis_url))
    yield client
    await client.aclose()


@pytest.fixture(params=["the client", "reads on connections of their own"])
async def store(client: Redis, redis_url: str, request: pytest.FixtureRequest) -> AsyncIterator[CounterStore]:
    reads = redis_calls(RedisSettings(url=redis_url), timeout_s=5, connections=2)
    partitions = test_counter_store.PARTITIONS
    yield RedisCounterStore(client, partitions, None if request.param == "the client" else reads.call)
    await reads.aclose()


async def refusal(url: str) -> str:
    """Return what is said where a URL is of the other kind than the server."""
    client = connect(RedisSettings(url=url))
    try:
        with pytest.raises(StoreRefused) as refused:
            await RedisCounterStore(client, test_counter_store.PARTITIONS).state(PartitionId(0))
        return str(refused.value)
    finally:
        await client.aclose()


async def test_an_address_of_the_other_kind_is_said_with_the_remedy(redis_cluster: RedisCluster) -> None:
    elsewhere = next(node for node in redis_cluster.masters() if node is not redis_cluster.master_of(0))
    said = await refusal(f"redis://127.0.0.1:{elsewhere.port}/0")
    assert "redis.url names one server: write it as redis+cluster://HOST:PORT" in said
    with RedisServer.start_new() as alone:
        said = await refusal(f"redis+cluster://127.0.0.1:{alone.port}")
    assert f"the server at 127.0.0.1:{alone.port} is not one of a cluster: give its address as redis://" in said


async def test_a_node_that_would_evict_is_refused_be_it_a_replica(client: Redis, redis_cluster: RedisCluster) -> None:
    await check_server(client)
    replica = redis_cluster.replica_of(redis_cluster.masters()[1])
    with client_of(replica) as asked:
        asked.config_set("maxmemory-policy", "allkeys-lru")
        try:
            with pytest.raises(
                StoreRefused, match=f"Redis at 127.0.0.1:{replica.port} has maxmemory-policy allkeys-lru"
            ):
                await check_server(client)
        finally:
            asked.config_set("maxmemory-policy", "noeviction")


async def test_rates_are_counted_on_a_cluster(client: Redis) -> None:
    counts = RateCounts(redis_rate_storage(client), read_rates("2/minute"))
    whose = {Counted.TOKEN: "a token", Counted.ORGANIZATION: "acme/{corp}"}
    assert [await counts.wait_s(whose) > 0 for _ in range(3)] == [False, False, True]


async def test_every_master_must_answer_the_watchdog(redis_cluster: RedisCluster) -> None:
    settings = RedisSettings(url=redis_cluster.url)
    await answers(settings, timeout_s=10)
    frozen = redis_cluster.masters()[2]
    frozen.freeze()
    try:
        with pytest.raises(StoreUnavailable):
            await answers(settings, timeout_s=0.5)
    finally:
        frozen.thaw()


for suite in (test_counter_store, test_shadows):
    globals().update(borrowed(suite))
