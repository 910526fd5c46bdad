"""Keeps what a command asks of Redis within a share of Redis' time, so that live traffic goes first."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from services.clock import monotonic_s

Answer = TypeVar("Answer")


class Pace:
    """Makes calls one at a time, and none before the last one's time is made up for.

    A call's time is measured from here, with what this process does beside it: Redis gets away with less.

    Args:
        share: of Redis' time, above 0; at 1 nothing waits, and calls overlap.
    """

    def __init__(self, share: float) -> None:
        self._pause = 1 / share - 1
        self._turn = asyncio.Lock()
        self._free_s = 0.0

    async def __call__(self, call: Callable[[], Awaitable[Answer]]) -> Answer:
        if self._pause <= 0:
            return await call()
        async with self._turn:
            await asyncio.sleep(max(0.0, self._free_s - monotonic_s()))
            began_s = monotonic_s()
            try:
                return await call()
            finally:
                ended_s = monotonic_s()
                self._free_s = ended_s + (ended_s - began_s) * self._pause
