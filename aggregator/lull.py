"""When a worker folds: not while frames are still coming in.

Faust hands over one frame every few turns of the event loop. A fold in between takes longer than all of them, so that
each frame would be folded alone while the next ones wait behind it, and a worker with half a core to spare fall behind.
"""

import asyncio
from typing import Final

QUIET_TURNS: Final = 8
"""Turns of the event loop without a frame after which no more is about to come."""

TURNS_MAX: Final = 1_000


class Lull:
    """Shared by the queues of a worker: each tells of its frames, and waits until none of them gets any."""

    def __init__(self) -> None:
        self._frames = 0

    def frame_came(self) -> None:
        self._frames += 1

    async def wait(self) -> None:
        """Return once no frame has come for a few turns of the event loop, or after very many turns."""
        seen, quiet = self._frames, 0
        for _ in range(TURNS_MAX):
            await asyncio.sleep(0)
            quiet = quiet + 1 if self._frames == seen else 0
            seen = self._frames
            if quiet == QUIET_TURNS:
                return
