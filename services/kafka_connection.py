"""Tells aiokafka in its own words that the other side has hung up.

Between the moment a connection breaks and the moment its reader notices, asyncio's own loop drops what is written to
it, and uvloop raises a RuntimeError. aiokafka does not expect one: it ended the task that follows the cluster, and from
then on the client waited for ever to hear who leads what, with every look at its health in order.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from aiokafka import conn
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaConnectionError

from services.hang_ups import is_hang_up


def notice_hang_ups() -> None:
    """Let every client of this process notice, from now on."""
    conn.AIOKafkaConnection = NoticingConnection


class NoticingConnection(conn.AIOKafkaConnection):  # type: ignore[misc]
    """A connection that raises `KafkaConnectionError` on a write when nobody is there any more."""

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
