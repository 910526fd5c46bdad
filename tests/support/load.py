"""Steady load on one address: a fixed number of clients, each asking again a little after it was answered."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

PAUSE_SECONDS = 0.05
PATIENCE_SECONDS = 30
LOOK_SECONDS = 0.005
"""Between looks at what came: an answer is known to have taken so long as it was not there at the last look."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One answer; header names are in lower case.

    Attributes:
        seconds: from the request's first byte to the last look before the answer was there: what keeps this process
            from looking, such as other programs on the machine, is not the server's.
    """

    seconds: float
    status: int
    headers: dict[str, str]
    body: bytes


class Load:
    """Use it as an async context manager; whatever no answer came to ends it with its exception."""

    def __init__(self, host: str, port: int, path: str, headers: dict[str, str], *, clients: int) -> None:
        lines = [
            f"GET {path} HTTP/1.1",
            f"Host: {host}:{port}",
            *(f"{name}: {value}" for name, value in headers.items()),
        ]
        self._request = "\r\n".join([*lines, "", ""]).encode()
        self._address = (host, port)
        self._clients = clients
        self._tasks: list[asyncio.Task[None]] = []
        self._looked_s = 0.0
        self._answered = asyncio.Event()
        self.answers: list[Answer] = []

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.create_task(self._keep_looking())]
        self._tasks += [asyncio.create_task(self._keep_asking()) for _ in range(self._clients)]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def until(self, met: Callable[[Sequence[Answer]], bool]) -> None:
        """Return once what was answered from now on meets a condition."""
        begin = len(self.answers)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not met(self.answers[begin:]):
                self._answered.clear()
                await self._answered.wait()
                for task in self._tasks:
                    if task.done():
                        task.result()

    async def _keep_looking(self) -> None:
        while True:
            begin = time.monotonic()
            await asyncio.sleep(LOOK_SECONDS)  # the loop reads meanwhile what was there before
            self._looked_s = begin

    async def _keep_asking(self) -> None:
        reader, writer = await asyncio.open_connection(*self._address)
        try:
            while True:
                self.answers.append(await self._ask(reader, writer))
                self._answered.set()
                await asyncio.sleep(PAUSE_SECONDS)
        finally:
            self._answered.set()
            writer.close()

    async def _ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Answer:
        begin = time.monotonic()
        writer.write(self._request)
        head, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").splitlines()
        pairs = (line.partition(":") for line in lines if line)
        headers = {name.lower(): value.strip() for name, _, value in pairs}
        body = await reader.readexactly(int(headers["content-length"]))
        seconds = max(0.0, self._looked_s - begin)
        return Answer(seconds=seconds, status=int(head.split()[1]), headers=headers, body=body)
