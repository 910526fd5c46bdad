"""What a request that is cut off leaves behind: connections that are clean, and all of them."""

import asyncio
import os
import random
import signal
from contextlib import suppress

import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from services.redis_client import connect
from services.settings import RedisSettings
from tests.support.redis_server import RedisServer

pytestmark = pytest.mark.integration

CLIENTS = 24
CALLS = 200
CONNECTIONS = 4


async def echo(client: Redis, text: str) -> None:
    with suppress(RedisError):
        assert await client.echo(text) == text.encode(), "the reply to another call"


async def call_and_cut_off(client: Redis, number: int, chance: random.Random) -> None:
    for call in range(CALLS):
        task = asyncio.create_task(echo(client, f"{number}-{call}"))
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


async def test_calls_cut_off_anywhere_leave_every_connection_clean_and_free() -> None:
    chance = random.Random(4)
    with RedisServer.start_new() as redis:
        client = connect(RedisSettings(url=redis.url), timeout_s=0.1, connections=CONNECTIONS)
        stopping = asyncio.create_task(stop_and_go(redis.pid))
        await asyncio.gather(*[call_and_cut_off(client, number, chance) for number in range(CLIENTS)])
        stopping.cancel()
        os.kill(redis.pid, signal.SIGCONT)
        pool = client.connection_pool
        held = await asyncio.gather(*[pool.get_connection() for _ in range(CONNECTIONS)])  # type: ignore[no-untyped-call]
        for connection in held:
            await connection.send_command("PING")
            assert await connection.read_response() == b"PONG"
            await pool.release(connection)
        await client.aclose()
