"""The load generator: connections that stay open, one request at a time on each, every answer compared.

It writes bytes made beforehand and looks for the end of the answer; nothing else, so that it stays far below what a
server spends on the request.
"""

import asyncio
import re
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self, cast

_HEAD_END: Final = b"\r\n\r\n"
_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
_ANSWER_SECONDS: Final = 30
_GZIP: Final = b"\x1f\x8b"
_GZIP_HEAD_BYTES: Final = 10
"""They hold the time of compression, so that they differ from second to second."""


class WrongAnswer(Exception):
    """An answer is not what the first one was; the text holds its beginning."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer as it came."""

    head: bytes
    body: bytes

    @property
    def status(self) -> int:
        return int(self.head.split(b" ", 2)[1])

    @property
    def headers(self) -> list[tuple[str, str]]:
        lines = self.head.decode("latin-1").split("\r\n")[1:]
        return [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines)]


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request, and the body that must come back."""

    request: bytes
    body: bytes


def request_bytes(address: tuple[str, int], target: str, headers: Mapping[str, str]) -> bytes:
    """Return a GET request."""
    lines = [f"GET {target} HTTP/1.1", f"Host: {address[0]}:{address[1]}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


class _Connection(asyncio.Protocol):
    """One request after the other; `ask` must not be called before the last answer is there."""

    def __init__(self) -> None:
        self._parts = bytearray()
        self._expected = -1
        self._waiting: asyncio.Future[Answer] | None = None
        self._head_length = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def ask(self, request: bytes) -> "asyncio.Future[Answer]":
        self._waiting = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return self._waiting

    def data_received(self, data: bytes) -> None:
        self._parts += data
        if self._expected < 0:
            end = self._parts.find(_HEAD_END)
            if end < 0:
                return
            length = _LENGTH.search(self._parts, 0, end + 2)
            self._head_length = end + len(_HEAD_END)
            self._expected = self._head_length + (int(length[1]) if length else 0)
        if len(self._parts) >= self._expected:
            answer = Answer(bytes(self._parts[: self._head_length - 4]), bytes(self._parts[self._head_length :]))
            self._parts.clear()
            self._expected = -1
            if self._waiting is not None and not self._waiting.done():
                self._waiting.set_result(answer)

    def connection_lost(self, error: Exception | None) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(error or ConnectionResetError("the server hung up"))

    def close(self) -> None:
        self._transport.close()


class Connections:
    """Open connections to one server."""

    def __init__(self, address: tuple[str, int], count: int) -> None:
        self._address = address
        self._count = count
        self._open: list[_Connection] = []

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        for _ in range(self._count):
            _, connection = await loop.create_connection(_Connection, *self._address)
            self._open.append(connection)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for connection in self._open:
            connection.close()

    async def ask(self, request: bytes) -> Answer:
        async with asyncio.timeout(_ANSWER_SECONDS):
            return await self._open[0].ask(request)

    async def keep_busy(self, exchanges: Iterator[Exchange], seconds: float) -> list[float]:
        """Ask on every connection without a pause; return what each answer took, in seconds."""
        taken: list[float] = []
        end = time.perf_counter() + seconds

        async def one_after_the_other(connection: _Connection) -> None:
            while (began := time.perf_counter()) < end:
                exchange = next(exchanges)
                answer = await connection.ask(exchange.request)
                taken.append(time.perf_counter() - began)
                _check(answer, exchange.body)

        await self._on_each(one_after_the_other, seconds)
        return taken

    async def keep_schedule(self, exchanges: Iterator[Exchange], due_s: Sequence[float]) -> list[float]:
        """Ask at instants (seconds from now, ascending); return the seconds from each instant to its answer.

        An instant at which no connection is free waits for one, and its time runs.
        """
        taken: list[float] = []
        began = time.perf_counter()
        instants = iter(due_s)

        async def take_the_next(connection: _Connection) -> None:
            for due in instants:
                if (wait := began + due - time.perf_counter()) > 0:
                    await asyncio.sleep(wait)
                exchange = next(exchanges)
                answer = await connection.ask(exchange.request)
                taken.append(time.perf_counter() - began - due)
                _check(answer, exchange.body)

        await self._on_each(take_the_next, due_s[-1])
        return taken

    async def _on_each(self, work: Callable[[_Connection], Coroutine[Any, Any, None]], seconds: float) -> None:
        async with asyncio.timeout(seconds + _ANSWER_SECONDS), asyncio.TaskGroup() as tasks:
            for connection in self._open:
                tasks.create_task(work(connection))


def _check(answer: Answer, body: bytes) -> None:
    skipped = _GZIP_HEAD_BYTES if body.startswith(_GZIP) else 0
    if answer.status != 200 or answer.body[skipped:] != body[skipped:]:
        raise WrongAnswer(f"{answer.head[:200]!r} {answer.body[:500]!r}")
