"""Answers 503 when a request's time is over, so that no caller waits for a store that does not answer."""

import asyncio
from typing import Final

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from query_api.errors import error_response, unavailable
from query_api.observing import route_of
from services.telemetry import Telemetry

OUT_OF_TIME: Final = "the answer was not ready in time; try again"


class TimeBudget:
    """ASGI middleware. An answer that has begun in time is left to end; one that has not is never begun.

    The request runs in a task of its own, which is cancelled when its time is over and not waited for: what it awaits
    may take its time to let go (a thread does not, and before Python 3.12 `asyncio.wait_for` can lose a cancellation).
    """

    def __init__(self, app: ASGIApp, *, seconds: float, telemetry: Telemetry) -> None:
        self._app = app
        self._seconds = seconds
        self._telemetry = telemetry
        self._abandoned: set[asyncio.Task[None]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answer = _Answer(send)
        work = asyncio.ensure_future(self._run(scope, receive, answer.send))
        try:
            await asyncio.wait((work,), timeout=self._seconds)
            if answer.begun and not work.done():
                await asyncio.wait((work,))
        except asyncio.CancelledError:  # the server stops and waits no longer
            work.cancel()
            raise
        if work.done():
            work.result()
            return
        answer.closed = True
        self._abandon(work, scope)
        await error_response(unavailable(OUT_OF_TIME), scope)(scope, receive, send)

    async def _run(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)

    def _abandon(self, work: asyncio.Task[None], scope: Scope) -> None:
        route = route_of(scope)
        structlog.get_logger().warning("request_out_of_time", route=route, seconds=self._seconds)
        self._telemetry.count("tidemark_api_timeouts_total", route=route)
        self._abandoned.add(work)  # the loop itself holds tasks weakly
        work.add_done_callback(self._forget)
        work.cancel()

    def _forget(self, work: asyncio.Task[None]) -> None:
        self._abandoned.discard(work)
        if not work.cancelled() and (error := work.exception()) is not None:
            structlog.get_logger().error("abandoned_request_failed", exc_info=error)


class _Answer:
    """The way to the client; once closed, what the abandoned request still sends goes nowhere."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.begun = False
        self.closed = False

    async def send(self, event: Message) -> None:
        if not self.closed:
            self.begun = True
            await self._send(event)
