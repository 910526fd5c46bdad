"""Calls on connections of their own, over a real Redis or Valkey."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress

import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError, NoScriptError

from services.redis_calls import Calls, redis_calls
from services.redis_client import connect
from services.settings import RedisSettings
from tests.support.ports import LOOPBACK, free_ports

pytestmark = pytest.mark.contract

NAME = "calls"


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[Redis]:
    client = connect(RedisSettings(url=redis_url), name="watching")
    yield client
    await client.aclose()


@pytest.fixture
async def calls(redis_url: str) -> AsyncIterator[Calls]:
    calls = redis_calls(RedisSettings(url=redis_url), timeout_s=5, connections=2, name=NAME)
    yield calls
    await calls.aclose()


async def connected(client: Redis) -> list[str]:
    """The ids of the connections that calls hold."""
    return [row["id"] for row in await client.client_list() if row["name"] == NAME]


async def eventually(holds: Callable[[], Awaitable[bool]]) -> None:
    deadline = time.monotonic() + 5
    while not await holds():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.005)


async def wait_until_blocked(client: Redis, count: int) -> None:
    async def are_blocked() -> bool:
        return bool((await client.info("clients"))["blocked_clients"] >= count)

    await eventually(are_blocked)


async def test_calls_one_after_the_other_share_a_connection(calls: Calls, client: Redis) -> None:
    assert [await calls.call("ECHO", text) for text in ("one", b"\xff", 3)] == [b"one", b"\xff", b"3"]
    assert len(await connected(client)) == 1


async def test_a_connection_that_the_server_closed_is_made_anew(calls: Calls, client: Redis) -> None:
    await calls.call("PING")
    [before] = await connected(client)
    await client.client_kill_filter(_id=before)

    async def is_answered() -> bool:
        with suppress(ConnectionError):  # until the closing is seen
            return bool(await calls.call("ECHO", "anew") == b"anew")
        return False

    await eventually(is_answered)
    assert len(await connected(client)) == 1
    assert await connected(client) != [before]


async def test_the_reply_to_a_call_that_was_given_up_is_nobody_elses(redis_url: str, client: Redis) -> None:
    calls = redis_calls(RedisSettings(url=redis_url), timeout_s=0.1, connections=1, name=NAME)
    with pytest.raises(TimeoutError):
        await calls.call("BLPOP", "nothing", 1)
    assert await calls.call("ECHO", "mine") == b"mine"
    given_up = asyncio.create_task(calls.call("BLPOP", "nothing", 1))
    await wait_until_blocked(client, 1)
    given_up.cancel()
    await asyncio.wait((given_up,))
    await client.lpush("nothing", "late")
    assert await calls.call("ECHO", "mine too") == b"mine too"
    await calls.aclose()


async def test_a_connection_that_was_given_up_before_it_stood_is_hung_up() -> None:
    ended = asyncio.Event()

    async def greet_nobody(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        ended.set()
        writer.close()

    (port,) = free_ports(1)
    async with await asyncio.start_server(greet_nobody, LOOPBACK, port):
        settings = RedisSettings(url=f"redis://{LOOPBACK}:{port}/0")
        calls = redis_calls(settings, timeout_s=0.1, connections=1, name=NAME)
        with pytest.raises(TimeoutError):
            await calls.call("PING")
        await asyncio.wait_for(ended.wait(), 5)
        await calls.aclose()


async def test_an_error_of_the_server_ends_its_call_alone(calls: Calls) -> None:
    with pytest.raises(NoScriptError):
        await calls.call("EVALSHA", "0" * 40, 0)
    assert await calls.call("ECHO", "after") == b"after"


async def test_there_are_no_more_connections_than_allowed_and_waiting_for_one_counts(
    redis_url: str, client: Redis
) -> None:
    calls = redis_calls(RedisSettings(url=redis_url), timeout_s=0.2, connections=2, name=NAME)
    waiting = [asyncio.create_task(calls.call("BLPOP", f"empty-{number}", 1)) for number in range(5)]
    await wait_until_blocked(client, 2)
    assert len(await connected(client)) == 2
    ended = await asyncio.gather(*waiting, return_exceptions=True)
    assert all(isinstance(each, TimeoutError) for each in ended)
    assert await calls.call("ECHO", "free again") == b"free again"
    await calls.aclose()


async def test_nothing_is_left_open(calls: Calls, client: Redis) -> None:
    await asyncio.gather(*[calls.call("PING") for _ in range(5)])
    assert len(await connected(client)) == 2
    await calls.aclose()

    async def are_gone() -> bool:
        return not await connected(client)

    await eventually(are_gone)
