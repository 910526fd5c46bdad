"""The dedup index as it lies in Redis: periods, generations, ranges; in which periods a copy is looked for. Pure.

An identity hash lies in the set of its event's period (7 days of event time), generation and hash range. How it grows,
and how a run of frames is judged by it: `aggregator.dedup`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from services.frames import Column
from services.keyspace import ids_key
from services.windows import DAY_MS

PERIOD_MS: Final = 7 * DAY_MS
COPY_MS: Final = DAY_MS
"""Copies are recognized when their `time` is at most this far from the first one's."""

SET_TARGET: Final = 400
"""Mean size of a full set; with this mean, a set passes 512 in one of 10^7."""

RANGES_MAX: Final = 1 << 24


@dataclass(frozen=True, slots=True)
class Generation:
    """`ranges`: how many sets. `count`: identities in them."""

    ranges: int
    count: int

    @property
    def room(self) -> int:
        return max(self.ranges * SET_TARGET - self.count, 0) if self.ranges < RANGES_MAX else 1 << 62


def read_period(fields: Mapping[bytes, bytes]) -> tuple[Generation, ...]:
    """Return the generations that the hash of a period holds."""
    rows = sorted((int(name), value.split(b":")) for name, value in fields.items())
    return tuple(Generation(int(ranges), int(count)) for _, (ranges, count) in rows)


def generation_key(prefix: str, period: int, number: int) -> str:
    """Return what the keys of a generation's sets begin with."""
    return f"{ids_key(prefix, period)}/{number}"


def set_places(identities: Column, ranges: int) -> Column:
    """Return which of a generation's sets each identity belongs to."""
    top = identities.astype(np.uint64) >> np.uint64(40)
    return (top * np.uint64(ranges) >> np.uint64(24)).astype(np.int64)


def near_periods(time_ms: int) -> set[int]:
    """Return the periods in which an event's copy is looked for: its own, and a neighbour that it is near to."""
    period, into = divmod(time_ms, PERIOD_MS)
    near = {period}
    if into <= COPY_MS:
        near.add(period - 1)
    if into >= PERIOD_MS - COPY_MS:
        near.add(period + 1)
    return near
