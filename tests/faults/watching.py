"""Looks at the states of all slots again and again while a test goes on, and keeps what it saw."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass

from services.counters import PartitionState, StoreUnavailable
from services.stores import open_store, read_states
from tests.support.beside import Beside
from tests.support.deployment import Deployment

EVERY_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Seen:
    """The state of one slot at one moment."""

    slot: int
    state: PartitionState


class Watch(Beside):
    """Watches from a thread of its own while its block runs."""

    def __init__(self, deployment: Deployment) -> None:
        super().__init__()
        self.seen: list[Seen] = []
        self._settings = deployment.settings

    def _work(self) -> None:
        asyncio.run(self._watch())

    async def _watch(self) -> None:
        async with open_store(self._settings) as store:
            while self._goes_on(0):
                with suppress(StoreUnavailable):
                    states = await read_states(store, self._settings.topics.frames_partitions)
                    self.seen += [Seen(slot, state) for slot, state in enumerate(states) if state is not None]
                await asyncio.sleep(EVERY_SECONDS)
