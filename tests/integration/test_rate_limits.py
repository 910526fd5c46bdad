"""Rate limits counted in a real Redis, by several API processes' worth of clients."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from redis.asyncio import Redis

from query_api.app import create_app
from services.clock import now_ms
from services.counters import StoreUnavailable
from services.identifiers import OrganizationId, UserId
from services.keyspace import RATES_PREFIX
from services.rate_limits import Counted, read_rates
from services.redis_client import connect
from services.redis_counters import RedisCounterStore
from services.redis_rates import RateCounts, redis_rate_storage
from services.settings import ApiSettings, RedisSettings, Settings, TopicSettings
from services.telemetry import Telemetry
from services.tokens import Claims, Role, issue_token, token_key
from tests.support.redis_server import RedisServer

pytestmark = pytest.mark.integration

PATH = "/api/v1/organization/usage"
PARTITIONS = 4
PATIENCE_S = 2.0
"""For a Redis that is there: a busy machine answers late."""

WHOSE = {Counted.TOKEN: "a-secret-token", Counted.ORGANIZATION: "acme/{corp}"}


@asynccontextmanager
async def redis_of(url: str) -> AsyncIterator[Redis]:
    client = connect(RedisSettings(url=url), timeout_s=PATIENCE_S)
    try:
        yield client
    finally:
        await client.aclose()


@asynccontextmanager
async def api_on(url: str, rate: str) -> AsyncIterator[httpx.AsyncClient]:
    """One API process's app, in this process."""
    settings = Settings(
        topics=TopicSettings(frames_partitions=PARTITIONS),
        api=ApiSettings(rate_limit=rate, request_timeout=3 * PATIENCE_S, redis_timeout=PATIENCE_S),
    )
    async with redis_of(url) as client:
        store = RedisCounterStore(client, PARTITIONS)
        app = create_app(store, settings, Telemetry("api"), rate_storage=redis_rate_storage(client))
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://api") as api:
            yield api


def bearer(user: str) -> dict[str, str]:
    claims = Claims(subject=UserId(user), organization=OrganizationId("acme"), role=Role.ADMIN)
    token = issue_token(claims, token_key(ApiSettings()), issued_s=now_ms() // 1000, lifetime_s=600)
    return {"Authorization": f"Bearer {token}"}


async def test_all_processes_count_together(redis_url: str) -> None:
    ada = bearer("ada")
    async with api_on(redis_url, "3/day per token") as one, api_on(redis_url, "3/day per token") as other:
        found = [(await api.get(PATH, headers=ada)).status_code for api in (one, other, one, other, one)]
        assert found == [400, 400, 400, 429, 429]
        assert (await other.get(PATH, headers=bearer("bob"))).status_code == 400


async def test_what_is_stored_is_ours_by_name_ends_by_itself_and_tells_nothing(redis_url: str) -> None:
    async with redis_of(redis_url) as client:
        counts = RateCounts(redis_rate_storage(client), read_rates("2/minute"))
        assert [await counts.wait_s(WHOSE) > 0 for _ in range(3)] == [False, False, True]
        keys = [key async for key in client.scan_iter()]
        assert len(keys) == 2
        for key in keys:
            assert key.startswith(f"{RATES_PREFIX}:".encode())
            assert b"secret" not in key
            assert b"acme" not in key
            assert 60_000 < await client.pttl(key) <= 120_000


async def test_a_client_that_waits_as_told_is_served(redis_url: str) -> None:
    async with redis_of(redis_url) as client:
        counts = RateCounts(redis_rate_storage(client), read_rates("2/second"))
        waits = [await counts.wait_s(WHOSE) for _ in range(3)]
        assert waits == [0, 0, 1]
        # The passing of time is what is tested here: nothing can be awaited instead.
        await asyncio.sleep(waits[-1])
        assert await counts.wait_s(WHOSE) == 0


async def test_where_it_cannot_be_counted_it_is_503_and_never_500_or_unlimited() -> None:
    with RedisServer.start_new() as redis:
        async with api_on(redis.url, "2/day per token") as api:
            ada = bearer("ada")
            assert (await api.get(PATH, headers=ada)).status_code == 400
            os.kill(redis.pid, signal.SIGSTOP)
            for _ in range(2):
                response = await api.get(PATH, headers=ada)
                assert (response.status_code, response.headers["Retry-After"]) == (503, "1")
            assert (await api.get(PATH)).status_code == 401
            os.kill(redis.pid, signal.SIGCONT)
            redis.kill()
            assert (await api.get(PATH, headers=ada)).status_code == 503
            redis.start()
            statuses = [(await api.get(PATH, headers=ada)).status_code for _ in range(4)]
            assert set(statuses[:-1]) <= {400, 429}
            assert statuses[-1] == 429


async def test_a_count_that_redis_does_not_take_is_told_as_the_stores_are() -> None:
    with RedisServer.start_new() as redis:
        redis.stop()
        async with redis_of(redis.url) as client:
            counts = RateCounts(redis_rate_storage(client), read_rates("2/second"))
            with pytest.raises(StoreUnavailable):
                await counts.wait_s(WHOSE)
