"""Waits until everything that was in the source topics at the call is in the counters, or dead-lettered."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from services import topics
from services.clock import monotonic_s
from services.counters import CounterStore, StoreUnavailable
from services.kafka import KafkaUnavailable
from services.lag import States, covered_up_to
from services.settings import Settings
from services.stores import read_states

POLL_INTERVAL_S: Final = 0.05
LOOK_INTERVAL_S: Final = 0.5
"""Between looks for a Kafka or a topic that is not there yet."""

NO_ENDS: Final = "the end of usage.events could not be read: Kafka or the topic is not there"

Source = tuple[str, int]
"""A topic that ingest reads, and one of its partitions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Behind:
    """One source partition that is not caught up; `applied` and `missing` are None when nothing is known of it."""

    topic: str
    partition: int
    end: int
    applied: int | None
    missing: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """How a wait stands or ended.

    Attributes:
        ends: source -> end offset at the call; None while it is not known.
        behind: what is missing; empty when caught up, provided `ends` is known.
    """

    ends: Mapping[Source, int] | None
    behind: tuple[Behind, ...] = ()

    @property
    def caught_up(self) -> bool:
        return self.ends is not None and not self.behind

    @property
    def total(self) -> int:
        return sum((self.ends or {}).values())

    @property
    def done(self) -> int:
        return self.total - sum(row.end if row.missing is None else row.missing for row in self.behind)


def behind(ends: Mapping[Source, int], states: States) -> tuple[Behind, ...]:
    """Return the sources whose records before `ends` are not all covered by every slot; empty when all are."""
    rows = []
    for (topic, partition), end in sorted(ends.items()):
        applied = covered_up_to(states, topic, partition)
        if end and (applied is None or applied < end):
            missing = None if applied is None else end - applied
            rows.append(Behind(topic=topic, partition=partition, end=end, applied=applied, missing=missing))
    return tuple(rows)


async def wait_until_caught_up(
    settings: Settings, store: CounterStore, timeout_s: float, progress: Callable[[Wait], None] = lambda _: None
) -> Wait:
    """Return as soon as the counters are caught up, or how it stood when the time was up.

    Kafka, the topic of events or Redis being away is waited out too. The ends are those of the first moment at which
    that topic could be read; a directory topic that is not there then counts as empty.

    Raises:
        StoreRefused, KafkaRefused: waiting would not help.
    """
    deadline_s = monotonic_s() + timeout_s
    ends = await _ends(settings, deadline_s)
    wait = Wait(ends=ends)
    if ends is None:
        return wait
    while True:
        wait = Wait(ends=ends, behind=behind(ends, await _states(settings, store)))
        progress(wait)
        if wait.caught_up or monotonic_s() >= deadline_s:
            return wait
        await asyncio.sleep(POLL_INTERVAL_S)


async def _ends(settings: Settings, deadline_s: float) -> Mapping[Source, int] | None:
    events, directory = settings.topics.events, settings.topics.directory
    while True:
        # The client waits by itself for a broker that does not answer; our deadline stands above it.
        with suppress(KafkaUnavailable, TimeoutError):
            async with asyncio.timeout(max(0.0, deadline_s - monotonic_s())):
                ends = await topics.ends_of(settings, events, directory)
                if events in ends:
                    return {(topic, number): end for topic, of in ends.items() for number, end in of.items()}
        if monotonic_s() + LOOK_INTERVAL_S >= deadline_s:
            return None
        await asyncio.sleep(LOOK_INTERVAL_S)


async def _states(settings: Settings, store: CounterStore) -> States:
    partitions = settings.topics.frames_partitions
    try:
        return await read_states(store, partitions)
    except StoreUnavailable:
        return [None] * partitions
