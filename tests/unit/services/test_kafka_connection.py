"""A connection that broke a moment ago is told to the Kafka client in words that it knows, whatever the event loop."""

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest
import uvloop
from aiokafka import conn
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.metadata import MetadataRequest

from services.kafka import client_options
from services.kafka_connection import NoticingConnection, why_deaf
from services.settings import KafkaSettings

WRITES: list[Callable[[Any], Any]] = [
    lambda connection: connection.send(MetadataRequest([])),
    lambda connection: connection._send_sasl_token(b"token"),
]


async def write_to_what_was_closed(
    kind: Callable[[str, int], Any], write: Callable[[Any], Any], told: list[conn.CloseReason]
) -> None:
    """Write on a connection that the loop has closed, and whose reader has not noticed."""
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        connection = kind("127.0.0.1", port)
        connection._versions = {MetadataRequest.API_KEY: (0, 1)}
        connection._reader, connection._writer = await asyncio.open_connection("127.0.0.1", port)
        connection._read_task = asyncio.create_task(asyncio.sleep(0))
        connection._on_close_cb = lambda _, reason: told.append(reason)
        connection._writer.transport.abort()
        await asyncio.sleep(0.05)
        await write(connection)


@pytest.mark.parametrize("write", WRITES, ids=["request", "token"])
def test_the_clients_own_raises_what_it_does_not_expect(write: Callable[[Any], Any]) -> None:
    with pytest.raises(RuntimeError, match="the handler is closed"):
        uvloop.run(write_to_what_was_closed(NoticingConnection.__base__, write, []))


@pytest.mark.parametrize("write", WRITES, ids=["request", "token"])
def test_ours_raises_a_connection_error_and_closes(write: Callable[[Any], Any]) -> None:
    told: list[conn.CloseReason] = []
    with pytest.raises(KafkaConnectionError, match="the handler is closed"):
        uvloop.run(write_to_what_was_closed(NoticingConnection, write, told))
    assert told == [conn.CloseReason.CONNECTION_BROKEN]


def test_every_client_that_is_built_here_has_such_connections() -> None:
    client_options(KafkaSettings())
    assert conn.AIOKafkaConnection is NoticingConnection


async def test_a_client_is_deaf_once_the_task_that_follows_the_cluster_has_ended() -> None:
    async def fail() -> None:
        raise RuntimeError("a surprise")

    def client(task: asyncio.Task[None] | None) -> AIOKafkaClient:
        return cast(AIOKafkaClient, SimpleNamespace(_sync_task=task))

    following, ended = asyncio.create_task(asyncio.sleep(60)), asyncio.create_task(fail())
    await asyncio.wait([ended])
    assert why_deaf(client(None)) is None
    assert why_deaf(client(following)) is None
    assert str(why_deaf(client(ended))) == "a surprise"
    following.cancel()
    await asyncio.wait([following])
    assert why_deaf(client(following)) is None
