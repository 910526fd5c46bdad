"""Tells aiokafka in its own words that the other side has hung up, and remembers why it could not connect.

Between the moment a connection breaks and the moment its reader notices, asyncio's own loop drops what is written to
it, and uvloop raises a RuntimeError. aiokafka does not expect one: it ended the task that follows the cluster, and from
then on the client waited for ever to hear who leads what, with every look at its health in order.
"""

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from aiokafka import conn
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaConnectionError, KafkaError

from services.hang_ups import is_hang_up
from services.kafka_failures import hung_up, notice_failure
from services.listeners import WrongListener, speaks_plain, speaks_tls
from services.tls import KAFKA

_API_VERSIONS: Final = struct.pack(">ihhih", 10, 18, 0, 1, -1)
"""The request ApiVersions, version 0, with the correlation id 1 and no client id."""


def _is_its_answer(first_bytes: bytes) -> bool:
    return first_bytes[4:8] == struct.pack(">i", 1)


def notice_hang_ups() -> None:
    """Let every client of this process notice, from now on."""
    conn.AIOKafkaConnection = NoticingConnection


class NoticingConnection(conn.AIOKafkaConnection):  # type: ignore[misc]
    """A connection that raises `KafkaConnectionError` on a write when nobody is there any more.

    Its failures go to `services.kafka_failures`.
    """

    async def connect(self) -> Any:
        try:
            return await super().connect()
        except (OSError, KafkaError, TimeoutError) as error:
            notice_failure(self._address, await self._clearer(error))
            raise

    def close(self, reason: Any = None, exc: BaseException | None = None) -> Any:
        if reason == conn.CloseReason.CONNECTION_BROKEN and exc is not None:
            notice_failure(self._address, exc)
        return super().close(reason, exc)

    @property
    def _address(self) -> str:
        return f"{self.host}:{self.port}"

    async def _clearer(self, error: BaseException) -> BaseException:
        """Return an error that says that the listener speaks another protocol, if it does."""
        if not hung_up({self._address: error}):
            return error
        if self._security_protocol.endswith("SSL"):
            if await speaks_plain(self.host, self.port, _API_VERSIONS, _is_its_answer):
                return WrongListener(f"Kafka does not speak TLS at {self._address}: {KAFKA.plain}")
        elif await speaks_tls(self.host, self.port):
            return WrongListener(
                f"Kafka speaks TLS at {self._address}: set TIDEMARK_KAFKA__SECURITY_PROTOCOL to SSL or SASL_SSL, or"
                " name the port that does not"
            )
        return error

    def send(self, request: Any, expect_response: bool = True) -> Any:
        with self._noticing():
            return super().send(request, expect_response)

    def _send_sasl_token(self, payload: bytes, expect_response: bool = True) -> Any:
        with self._noticing():
            return super()._send_sasl_token(payload, expect_response)

    @contextmanager
    def _noticing(self) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:
            if not is_hang_up(error):
                raise
            self.close(reason=conn.CloseReason.CONNECTION_BROKEN, exc=error)
            raise KafkaConnectionError(f"Connection at {self.host}:{self.port} broken: {error}") from error


def why_deaf(client: AIOKafkaClient) -> BaseException | None:
    """Return what ended the task by which a consumer's or producer's client follows the cluster; None while it runs.

    Without it the client never hears of a new leader or coordinator, and waits for them without a word.
    """
    task = client._sync_task
    if task is None or not task.done() or task.cancelled():
        return None
    return task.exception() or RuntimeError("it has returned")
