"""One operation beside its bare route, and how it does at half of what it can."""

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import cycle
from typing import Final

import numpy as np

from tests.bench.api.load import Connections, Exchange
from tests.bench.machine import running_seconds

SLICE_SECONDS: Final = 0.25
WARM_UP_SECONDS: Final = 0.5
SCHEDULE_CONNECTIONS: Final = 64
"""Enough that a request waits for the server, not for a connection."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """A server, and what to send it in turn.

    Attributes:
        pids: name -> process that works on the answer.
    """

    address: tuple[str, int]
    pids: Mapping[str, int]
    exchanges: Sequence[Exchange]


@dataclass(slots=True)
class Times:
    """What answers took, in seconds, and how long they were asked for.

    Attributes:
        cpu_seconds: name -> processor time of a process that worked on them.
    """

    taken: list[float] = field(default_factory=list)
    seconds: float = 0.0
    cpu_seconds: Counter[str] = field(default_factory=Counter)

    def percentile_ms(self, percent: float) -> float:
        return float(np.percentile(self.taken, percent)) * 1000

    def cpu_ms(self, name: str) -> float:
        """Return a process's processor time an answer."""
        return self.cpu_seconds[name] / len(self.taken) * 1000

    @property
    def per_second(self) -> float:
        return len(self.taken) / self.seconds


async def side_by_side(api: Side, bare: Side, *, connections: int, seconds: float) -> tuple[Times, Times]:
    """Return the times of both, asked in turns for `seconds` each, the one that begins changing from turn to turn."""
    of_api, of_bare = Times(), Times()
    async with Connections(api.address, connections) as to_api, Connections(bare.address, connections) as to_bare:
        turns = [(to_api, api, of_api, cycle(api.exchanges)), (to_bare, bare, of_bare, cycle(bare.exchanges))]
        for opened, _, _, exchanges in turns:
            await opened.keep_busy(exchanges, WARM_UP_SECONDS)
        for _ in range(max(1, round(seconds / SLICE_SECONDS))):
            for opened, side, times, exchanges in turns:
                with _timed(side, times):
                    times.taken += await opened.keep_busy(exchanges, SLICE_SECONDS)
            turns.reverse()
    return of_api, of_bare


async def at_rate(side: Side, *, per_second: float, seconds: float, seed: int) -> Times:
    """Return the times from each scheduled instant on; gaps are exponential, as of many independent callers."""
    gaps = np.random.default_rng(seed).exponential(1 / per_second, round(per_second * seconds))
    due_s = np.cumsum(gaps).tolist()
    times = Times()
    async with Connections(side.address, SCHEDULE_CONNECTIONS) as opened:
        with _timed(side, times):
            times.taken += await opened.keep_schedule(cycle(side.exchanges), due_s)
    return times


@contextmanager
def _timed(side: Side, times: Times) -> Iterator[None]:
    """Add the time that passes, and that each process spends on a processor."""
    began = time.perf_counter()
    before = {name: running_seconds(pid) for name, pid in side.pids.items()}
    yield
    times.cpu_seconds.update({name: running_seconds(pid) - before[name] for name, pid in side.pids.items()})
    times.seconds += time.perf_counter() - began
