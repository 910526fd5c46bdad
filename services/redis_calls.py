"""Connections for a process that makes one call over and over: the query API's reads.

The client's own way to a reply takes a task to write, three limits of time, four locks and a retry that is off, which
is as much again as the rest of the call. Here one limit spans all of it, and a connection is taken from a list.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from redis.asyncio import BlockingConnectionPool
from redis.asyncio.connection import AbstractConnection

from services.redis_client import connection_pool, map_timeout_s
from services.redis_router import Router
from services.redis_slots import Argument
from services.redis_urls import Address, read_cluster_url
from services.settings import RedisSettings


class Calls(Protocol):
    """Sends commands. Errors are the client's; `services.redis_client.translated` takes them all."""

    async def call(self, *arguments: Argument) -> Any: ...
    async def aclose(self) -> None: ...


class RedisCalls:
    """Sends commands, each on a connection of its own while it lasts."""

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

    async def call(self, *arguments: Argument) -> Any:
        """Return the reply to a command.

        Raises:
            RedisError, TimeoutError, OSError: as the client; `services.redis_client.translated` takes them all.
        """
        async with asyncio.timeout(self._timeout_s), self._free:
            connection = self._idle.pop() if self._idle else self._pool.make_connection()  # type: ignore[no-untyped-call]
            try:
                # Connects, also where the server has hung up since the last call.
                await self._pool.ensure_connection(connection)
                await connection.send_command(*arguments)
                return await connection.read_response()
            finally:
                # One that was given up in the middle has hung up, and connects anew.
                self._idle.append(connection)

    async def send(self, arguments: Sequence[Argument], _options: Mapping[str, Any], *, asking: bool) -> Any:
        """Return the reply to a command, as a node of a cluster."""
        if not asking:
            return await self.call(*arguments)
        async with asyncio.timeout(self._timeout_s), self._free:
            connection = self._idle.pop() if self._idle else self._pool.make_connection()  # type: ignore[no-untyped-call]
            try:
                await self._pool.ensure_connection(connection)
                await connection.send_command("ASKING")
                await connection.read_response()
                await connection.send_command(*arguments)
                return await connection.read_response()
            finally:
                self._idle.append(connection)

    async def aclose(self) -> None:
        for connection in self._idle:
            await connection.disconnect()


class ClusterCalls:
    """The same on a cluster: each node has its own connections, and as many of them at once."""

    def __init__(self, router: Router) -> None:
        self._router = router

    async def call(self, *arguments: Argument) -> Any:
        return await self._router.call(arguments, {})

    async def aclose(self) -> None:
        await self._router.aclose()


def redis_calls(settings: RedisSettings, *, timeout_s: float, connections: int, name: str = "tidemark") -> Calls:
    """Return connections to the Redis of the settings."""

    def calls(address: Address | None = None) -> RedisCalls:
        pool = connection_pool(
            settings, address, timeout_s=timeout_s, connections=connections, name=name, socket_timeout_s=None
        )
        return RedisCalls(pool, at_once=connections, timeout_s=timeout_s)

    cluster = read_cluster_url(settings.url)
    if cluster is None:
        return calls()
    return ClusterCalls(Router(cluster.seeds, calls, timeout_s=map_timeout_s(timeout_s)))
