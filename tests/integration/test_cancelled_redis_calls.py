"""What a request that is cut off leaves behind: connections that are clean, and all of them."""

import asyncio
import os
import random
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

import pytest
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError as Disconnected
from redis.exceptions import TimeoutError as Unanswered

from services.redis_calls import redis_calls
from services.redis_client import connect
from services.settings import RedisSettings
from tests.support.redis_server import RedisServer

pytestmark = pytest.mark.integration

CLIENTS = 24
CALLS = 200
CONNECTIONS = 4
PATIENCE_S = 30

Answer = TypeVar("Answer")
Echo = Callable[[str], Awaitable[Any]]


async def ask(echo: Echo, text: str) -> None:
    with suppress(Disconnected, Unanswered, TimeoutError):
        assert await echo(text) == text.encode(), "the reply to another call"


async def call_and_cut_off(echo: Echo, number: int, chance: random.Random) -> None:
    for call in range(CALLS):
        task = asyncio.create_task(ask(echo, f"{number}-{call}"))
        await asyncio.wait((task,), timeout=chance.choice([0, 0.0001, 0.0005, 0.001, 0.002, 0.05, 0.11]))
        task.cancel()
        await asyncio.wait((task,))
        if not task.cancelled():
            task.result()


async def stop_and_go(pid: int) -> None:
    while True:
        os.kill(pid, signal.SIGSTOP)
        await asyncio.sleep(0.12)
        os.kill(pid, signal.SIGCONT)
        await asyncio.sleep(0.3)


async def cut_off_many(redis: RedisServer, echo: Echo, chance: random.Random) -> None:
    stopping = asyncio.create_task(stop_and_go(redis.pid))
    await asyncio.gather(*[call_and_cut_off(echo, number, chance) for number in range(CLIENTS)])
    stopping.cancel()
    os.kill(redis.pid, signal.SIGCONT)


async def in_the_end(call: Callable[[], Awaitable[Answer]]) -> Answer:
    """Return what a call gives once it is in time: on a busy machine its 0.1 s may be over before Redis has a turn."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            with suppress(Disconnected, Unanswered, TimeoutError):
                return await call()


async def ping(connection: AbstractConnection) -> Any:
    await connection.send_command("PING")
    return await connection.read_response()


async def test_calls_cut_off_anywhere_leave_every_connection_clean_and_free() -> None:
    chance = random.Random(4)
    with RedisServer.start_new() as redis:
        client = connect(RedisSettings(url=redis.url), timeout_s=0.1, connections=CONNECTIONS)
        await cut_off_many(redis, client.echo, chance)
        pool = client.connection_pool
        held = await asyncio.gather(*[in_the_end(pool.get_connection) for _ in range(CONNECTIONS)])
        for connection in held:
            assert await in_the_end(partial(ping, connection)) == b"PONG"
            await pool.release(connection)
        await client.aclose()


async def test_reads_cut_off_anywhere_leave_every_connection_clean_and_free() -> None:
    with RedisServer.start_new() as redis:
        calls = redis_calls(RedisSettings(url=redis.url), timeout_s=0.1, connections=CONNECTIONS)
        await cut_off_many(redis, lambda text: calls.call("ECHO", text), random.Random(4))
        texts = [f"after-{number}" for number in range(CONNECTIONS)]
        echoes = [in_the_end(partial(calls.call, "ECHO", text)) for text in texts]
        assert await asyncio.gather(*echoes) == [text.encode() for text in texts]
        await calls.aclose()
