"""A TCP proxy between a client and a server that does what networks do: delay, lose, reset, half-open, cut off."""

import asyncio
import socket
import struct
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self, TypeVar

from tests.support.ports import LOOPBACK, free_ports

_CHUNK = 65_536
_ANSWER_SECONDS = 10
_RESET = struct.pack("ii", 1, 0)

Result = TypeVar("Result")


@dataclass(eq=False, slots=True)
class _Pair:
    """One client's connection and ours to the server."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    cut: bool = False
    tasks: list[asyncio.Task[None]] = field(default_factory=list)


class TcpProxy:
    """Listens on a port of its own and passes everything on to a server, until it is told otherwise.

    The methods may be called from any thread and return when they have taken effect.
    """

    def __init__(self, port: int, *, host: str = LOOPBACK, listen_port: int | None = None) -> None:
        """Nothing listens before `start`.

        Args:
            port: of the server.
            listen_port: of the proxy, a free one if None.
        """
        self.port = free_ports(1)[0] if listen_port is None else listen_port
        self._target = (host, port)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"proxy-{self.port}", daemon=True)
        self._server: asyncio.Server | None = None
        self._pairs: set[_Pair] = set()
        self._flowing = asyncio.Event()
        self._delay_s = 0.0
        self._cut_after: Callable[[bytes], bool] | None = None
        self._when_cut: Callable[[], None] = lambda: None
        self.cuts = 0

    @property
    def address(self) -> str:
        return f"{LOOPBACK}:{self.port}"

    def start(self) -> Self:
        self._thread.start()
        self._call(self._start())
        return self

    def close(self) -> None:
        self._call(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def delay(self, seconds: float) -> None:
        """Hold each chunk back for so long, in both directions; 0 ends it."""
        self._call(self._set_delay(seconds))

    def drop(self) -> None:
        """Pass nothing on any more, of old connections and new ones, and close none: a partition, or half-open TCP.

        What was sent meanwhile arrives after `restore`, as TCP would bring it.
        """
        self._call(self._set_flowing(False))

    def restore(self) -> None:
        """Pass everything on again, and listen again after `refuse`."""
        self._call(self._restore())

    def retarget(self, port: int) -> None:
        """Pass new connections on to another server's port; `reset` ends the old ones."""
        self._target = (self._target[0], port)

    def reset(self) -> None:
        """End every connection with RST; new ones are taken."""
        self._call(self._reset())

    def refuse(self) -> None:
        """End every connection with RST and refuse new ones, until `restore`."""
        self._call(self._refuse())

    def cut_reply(self, matches: Callable[[bytes], bool], *, then: Callable[[], None] = lambda: None) -> None:
        """Of the next request that matches, pass the request on, drop the reply, and close both connections.

        Args:
            matches: is asked with each chunk from a client.
            then: called when the server's reply was there, and dropped; from the proxy's thread.
        """
        self._call(self._set_cut(matches, then))

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _call(self, work: Coroutine[Any, Any, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_ANSWER_SECONDS)

    async def _start(self) -> None:
        self._flowing.set()
        await self._listen()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._accept, LOOPBACK, self.port)

    async def _close(self) -> None:
        await self._refuse()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _set_delay(self, seconds: float) -> None:
        self._delay_s = seconds

    async def _set_flowing(self, flowing: bool) -> None:
        if flowing:
            self._flowing.set()
        else:
            self._flowing.clear()

    async def _restore(self) -> None:
        self._flowing.set()
        if self._server is None:
            await self._listen()

    async def _reset(self) -> None:
        for pair in list(self._pairs):
            _abort(pair)

    async def _refuse(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        await self._reset()

    async def _set_cut(self, matches: Callable[[bytes], bool], then: Callable[[], None]) -> None:
        self._cut_after, self._when_cut = matches, then

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            server_reader, server_writer = await asyncio.open_connection(*self._target)
        except OSError:
            writer.transport.abort()
            return
        pair = _Pair(writer, server_writer)
        self._pairs.add(pair)
        pair.tasks = [
            asyncio.create_task(self._pump(pair, reader, server_writer, from_client=True)),
            asyncio.create_task(self._pump(pair, server_reader, writer, from_client=False)),
        ]
        await asyncio.wait(pair.tasks)
        self._pairs.discard(pair)
        for each in (writer, server_writer):
            each.close()

    async def _pump(
        self, pair: _Pair, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, from_client: bool
    ) -> None:
        with suppress(OSError):
            while chunk := await reader.read(_CHUNK):
                if self._delay_s:
                    await asyncio.sleep(self._delay_s)
                await self._flowing.wait()
                if from_client and self._cut_after is not None and self._cut_after(chunk):
                    self._cut_after, pair.cut = None, True
                elif not from_client and pair.cut:
                    self.cuts += 1
                    self._when_cut()
                    break
                writer.write(chunk)
                await writer.drain()
        # Either side's end is the other's, as most programs take it.
        for each in (pair.client, pair.server):
            each.close()


def _abort(pair: _Pair) -> None:
    for writer in (pair.client, pair.server):
        held = writer.get_extra_info("socket")
        if held is not None:
            with suppress(OSError):
                held.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        writer.transport.abort()
