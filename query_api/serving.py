"""Serves an app with uvicorn until it is told to stop, and watches whether the store answers."""

import asyncio
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import uvicorn
from fastapi import FastAPI

from query_api.http_protocol import Protocol
from query_api.slots import other_partitions
from services.counters import CounterStore, StoreRefused, StoreUnavailable
from services.health import HealthServer
from services.identifiers import PartitionId
from services.lifecycle import Refused

STORE: Final = "redis"
"""The part that `/readyz` names; nothing else, lag least of all, makes the API not ready."""

LOOK_INTERVAL_S: Final = 1.0
_DRAIN_S: Final = 10
"""Time for the requests at hand in an ordered stop; half of the role's deadline."""

_BACKLOG: Final = 1_024


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket.

    Raises:
        Refused: the address cannot be had.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise Refused(
            f"the query API cannot listen on {host}:{port} ({error.strerror}): free the port, or set api.host and"
            " api.port to an address of this machine"
        ) from error


async def serve(app: FastAPI, bound: socket.socket, stop: asyncio.Event) -> None:
    """Serve until `stop` is set and the requests at hand are answered."""
    config = uvicorn.Config(
        app,
        http=Protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=_DRAIN_S,
    )
    server = _Server(config)
    serving = asyncio.create_task(server.serve(sockets=[bound]))
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait((serving, stopping), return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    server.should_exit = True
    await serving


async def look_at_store(store: CounterStore, partitions: int, health: HealthServer, looked_at: Sequence[int]) -> None:
    """Ask the store for the states of some partitions, and say in `/readyz` whether it answered.

    Raises:
        StoreRefused: one holds what cannot be read under these settings, or by this release.
    """
    for number in looked_at:
        try:
            state = await store.state(PartitionId(number))
        except StoreUnavailable as error:
            health.not_ready(STORE, str(error))
            return
        if state is not None and state.partitions != partitions:
            raise StoreRefused(other_partitions(state.partitions, partitions))
    health.ready(STORE)


async def keep_looking_at_store(store: CounterStore, partitions: int, health: HealthServer) -> None:
    """Look every second until cancelled, at one partition after the other.

    A refusal makes the API not ready until that partition is mended in the store: a rebuild by a newer release goes
    partition by partition.
    """
    number = 0
    while True:
        try:
            await look_at_store(store, partitions, health, [number])
        except StoreRefused as error:
            health.not_ready(STORE, str(error))
        else:
            number = (number + 1) % partitions
        await asyncio.sleep(LOOK_INTERVAL_S)


class _Server(uvicorn.Server):
    """Leaves the signals to `services.lifecycle`."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
