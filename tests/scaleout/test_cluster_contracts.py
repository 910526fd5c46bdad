"""The contract suites of all that lies in Redis, on a Redis Cluster."""

import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from types import ModuleType
from typing import Any

import pytest
from redis.asyncio import Redis

from services.counters import CounterStore
from services.redis_calls import redis_calls
from services.redis_client import connect
from services.redis_counters import RedisCounterStore
from services.settings import RedisSettings
from tests.contract import test_counter_store, test_shadows
from tests.support.redis_cluster import RedisCluster

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


for suite in (test_counter_store, test_shadows):
    globals().update(borrowed(suite))
