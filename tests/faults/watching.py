"""Looks at the states of all slots again and again while a test goes on, and keeps what it saw."""

import asyncio
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import Self

from services.counters import PartitionState, StoreUnavailable
from services.stores import open_store, read_states
from tests.support.deployment import Deployment

EVERY_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Seen:
    """The state of one slot at one moment."""

    slot: int
    state: PartitionState


class Watch:
    """Watches from a thread of its own while its block runs."""

    def __init__(self, deployment: Deployment) -> None:
        self.seen: list[Seen] = []
        self._settings = deployment.settings
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="watch", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    async def _run(self) -> None:
        async with open_store(self._settings) as store:
            while not self._stop.is_set():
                with suppress(StoreUnavailable):
                    states = await read_states(store, self._settings.topics.frames_partitions)
                    self.seen += [Seen(slot, state) for slot, state in enumerate(states) if state is not None]
                await asyncio.sleep(EVERY_SECONDS)
