"""Connections for a process that makes one kind of call over and over: the query API's reads.

The client's own way to a reply takes a task to write, three limits of time, four locks and a retry that is off, which
is as much again as the rest of the call. Here one limit spans all of it, and a connection is taken from a list.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from redis.asyncio import BlockingConnectionPool
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import RedisError, ResponseError

from services.redis_client import connection_pool
from services.settings import RedisSettings

Command = Sequence[str | bytes]
_MULTI: Final[Command] = ("MULTI",)
_EXEC: Final[Command] = ("EXEC",)


class RedisCalls:
    """Sends transactions, each on a connection of its own while it lasts."""

    def __init__(self, pool: BlockingConnectionPool, *, at_once: int, timeout_s: float) -> None:
        """Nothing is sent before the first call.

        Args:
            pool: makes the connections; they have no limits of time but for connecting.
            at_once: the most connections.
            timeout_s: of one call, waiting for a connection and connecting included.
        """
        self._pool = pool
        self._timeout_s = timeout_s
        self._free = asyncio.Semaphore(at_once)
        self._idle: list[AbstractConnection] = []

    async def transaction(self, commands: Sequence[Command]) -> list[Any]:
        """Return the replies to commands that nothing comes between.

        Raises:
            RedisError, TimeoutError, OSError: as the client; `services.redis_client.translated` takes them all.
        """
        *queued, replies = await self.answers([_MULTI, *commands, _EXEC])
        # The first refused command says more than the end, which says that there was one.
        for answer in (*queued, *(replies if isinstance(replies, list) else [replies])):
            if isinstance(answer, RedisError):
                raise answer
        return list(replies)

    async def answers(self, commands: Sequence[Command]) -> list[Any]:
        """Return the answers to commands, sent together; errors of the server are among them.

        Raises:
            RedisError, TimeoutError, OSError: an answer did not come.
        """
        async with asyncio.timeout(self._timeout_s), self._free:
            connection = self._idle.pop() if self._idle else self._pool.make_connection()  # type: ignore[no-untyped-call]
            try:
                # Connects, also where the server has hung up since the last call.
                await self._pool.ensure_connection(connection)
                await connection.send_packed_command(connection.pack_commands(commands))
                return [await _answer(connection) for _ in commands]
            finally:
                # One that was given up in the middle has hung up, and connects anew.
                self._idle.append(connection)

    async def aclose(self) -> None:
        for connection in self._idle:
            await connection.disconnect()


async def _answer(connection: AbstractConnection) -> Any:
    """Return the next answer, an error of the server too: those behind it must be read all the same."""
    try:
        return await connection.read_response()
    except ResponseError as error:
        return error


def redis_calls(settings: RedisSettings, *, timeout_s: float, connections: int, name: str = "tidemark") -> RedisCalls:
    """Return connections to the Redis of the settings."""
    pool = connection_pool(settings, timeout_s=timeout_s, connections=connections, name=name, socket_timeout_s=None)
    return RedisCalls(pool, at_once=connections, timeout_s=timeout_s)
