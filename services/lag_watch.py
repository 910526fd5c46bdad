"""Looks at lag again and again, and keeps the window of looks by which each partition is judged."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from services.clock import monotonic_s, now_ms
from services.counters import CounterStore, StoreRefused, StoreUnavailable
from services.kafka import KafkaRefused, KafkaUnavailable
from services.kafka_looks import LogsLooker
from services.lag import States
from services.lag_looks import Away, Logs, Look, look_of, positions, within_window
from services.lag_report import LagRow, lag_rows
from services.settings import Settings
from services.stores import read_states

STORE_LIMIT_S: Final = 2.0
"""For the states of all slots; a Redis that takes longer is called away."""


class LagWatch:
    """Watches one deployment; a server that is away makes a look that knows less, never an error.

    Args:
        store: whose states say what is applied.
    """

    def __init__(self, settings: Settings, store: CounterStore) -> None:
        self._topics = settings.topics
        self._kafka = settings.kafka
        self._behind_after_s = settings.api.behind_after
        self._store = store
        names = (self._topics.events, self._topics.directory, self._topics.frames)
        self._looker = LogsLooker(settings.kafka, names, (self._kafka.ingest_group, self._kafka.aggregator_group))
        self._looks: Sequence[Look] = ()

    async def look(self) -> Look:
        """Look once more, and return what was seen."""
        # Applied before ends: what comes in between waits for a moment, and no lag is below zero.
        states, redis_away = await self._states()
        logs, kafka_away = await self._logs(states)
        away = Away(kafka=kafka_away, redis=redis_away)
        look = look_of(
            self._topics,
            logs,
            states,
            away,
            before=self.last,
            at_s=monotonic_s(),
            at_ms=now_ms(),
            kafka=self._kafka,
        )
        self._looks = within_window((*self._looks, look), look.at_s)
        return look

    async def close(self) -> None:
        await self._looker.close()

    @property
    def last(self) -> Look | None:
        """The last look; None before the first."""
        return self._looks[-1] if self._looks else None

    def rows(self) -> list[LagRow]:
        """Return each partition as the window of looks has it; none before the first look."""
        return lag_rows(self._looks, self._behind_after_s) if self._looks else []

    async def _states(self) -> tuple[States, str | None]:
        nothing: States = [None] * self._topics.frames_partitions
        try:
            async with asyncio.timeout(STORE_LIMIT_S):
                return await read_states(self._store, self._topics.frames_partitions), None
        except TimeoutError:
            return nothing, f"Redis is away: no answer within {STORE_LIMIT_S:g} s"
        except (StoreUnavailable, StoreRefused) as error:
            return nothing, str(error)

    async def _logs(self, states: States) -> tuple[Logs, str | None]:
        try:
            return await self._looker.look(positions(self._topics, states)), None
        except (KafkaUnavailable, KafkaRefused) as error:
            return Logs(), str(error)


async def keep_looking(watch: LagWatch, interval_s: float, seen: Callable[[Look], None]) -> None:
    """Look at every interval until cancelled, and hand each look on."""
    while True:
        seen(await watch.look())
        await asyncio.sleep(interval_s)
