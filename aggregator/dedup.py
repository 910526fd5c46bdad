"""The dedup index: which events of a run were counted before, and where the new identities go. Pure.

An identity hash lies in the set of its event's period (7 days of event time), generation and hash range. A period
begins with as many ranges as its predecessor's count asks for; when its sets are full on average, a generation with
16 times as many begins and takes the new ones, while the old ones stay: sets stay small enough to be packed integer
sets (`set-max-intset-entries` 512), and a look-up asks each generation: the worker's own memory for one that it saw
begin, the store for the others.

Event after event in log order, first wins: an event is a copy of an earlier counted one with the same identity when
that lies in the same period, or in the neighbouring period within 24 h of whose edge the event's own time is.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt

from aggregator.known_ids import KnownIds
from aggregator.renewals import Renewals
from aggregator.rows import grouped
from aggregator.run import Run
from services.dedup_index import (
    COPY_MS,
    PERIOD_MS,
    RANGES_MAX,
    SET_TARGET,
    Generation,
    generation_key,
    near_periods,
    set_places,
)
from services.frames import Column
from services.keyspace import ids_key

RANGES_MIN: Final = 16
GROWTH: Final = 16

Mask = npt.NDArray[np.bool_]

Periods = Mapping[int, tuple[Generation, ...]]
"""Period -> its generations, () for a period without identities."""


def periods_of(run: Run) -> set[int]:
    """Return the periods whose generations must be known to look up and add the run's identities."""
    own = np.unique(run.time_ms // PERIOD_MS)
    return {int(near) for period in own.tolist() for near in (period - 1, period, period + 1)}


@dataclass(frozen=True, slots=True)
class Lookup:
    """What is to be asked of the index: is `event` (row of the run) in the set of the group it stands in?

    `known` are events that the worker knows to be in the index.
    """

    groups: list[list[str | bytes]]
    events: Column
    known: Mask


def lookup(
    run: Run, texts: Sequence[str], periods: Periods, prefix: str, known_ids: KnownIds, elapsed_s: float
) -> Lookup:
    """Return the sets to ask, which event each answer is about, and what need not be asked.

    Args:
        texts: the identities as decimal numbers.
        periods: every one of `periods_of`.
        elapsed_s: `Place.elapsed_s`; what may have ended by then is asked.
    """
    groups: list[list[str | bytes]] = []
    asked: list[Column] = []
    known = np.zeros(len(run), dtype=np.bool_)
    for period, events in _places(run):
        for number, generation in enumerate(periods[period]):
            key = generation_key(prefix, period, number)
            if (ids := known_ids.get(key, elapsed_s)) is not None:
                known[events] |= ids.contains(run.identity[events])
                continue
            places, members = sets_of(run.identity, events, generation.ranges)
            for place, rows in zip(places.tolist(), members, strict=True):
                groups.append([f"{key}/{place}", *[texts[row] for row in rows.tolist()]])
                asked.append(rows)
    return Lookup(groups, np.concatenate(asked) if asked else np.zeros(0, dtype=np.int64), known)


def copies(run: Run, found: Lookup, members: Sequence[int]) -> Mask:
    """Return which events of the run are copies, given the answers to the look-up."""
    copied = found.known.copy()
    copied[found.events[np.array(members, dtype=np.bool_)]] = True
    ascending = np.sort(run.identity)
    twice = ascending[1:][ascending[1:] == ascending[:-1]]
    if len(twice):
        for row, known in _twins(run, np.flatnonzero(np.isin(run.identity, twice)), copied):
            copied[row] = copied[row] or known
    return copied


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """What one generation gets.

    Attributes:
        key: `generation_key`.
        ranges: how many sets it has.
        ids: its new identities.
        begins: whether they are its first.
        renewed: places of the sets whose end moves on.
    """

    key: str
    ranges: int
    ids: Column
    begins: bool
    renewed: Column


@dataclass(frozen=True, slots=True, kw_only=True)
class Additions:
    """What the index gets.

    Attributes:
        sets: groups to add, to sets whose end moved on lately.
        living_sets: groups to add, to sets whose end is to move on.
        hashes: of periods, to write.
        periods: as they are afterwards.
        growths: of the generations.
    """

    sets: list[list[str | bytes]] = field(default_factory=list)
    living_sets: list[list[str | bytes]] = field(default_factory=list)
    hashes: list[list[str | bytes]] = field(default_factory=list)
    periods: dict[int, tuple[Generation, ...]] = field(default_factory=dict)
    growths: list[Growth] = field(default_factory=list)


def additions(
    run: Run, texts: Sequence[str], live: Mask, periods: Periods, prefix: str, renewals: Renewals, elapsed_s: float
) -> Additions:
    """Return where the identities of the run's live events go, one after the other in log order.

    Args:
        renewals: which sets' ends this worker moved on lately.
        elapsed_s: `Place.elapsed_s`.
    """
    rows = np.flatnonzero(live)
    own = run.time_ms[rows] // PERIOD_MS
    new = {int(period): rows[own == period] for period in np.unique(own).tolist()}
    result = Additions()
    for period, events_of_period in new.items():
        events = events_of_period
        generations = list(periods[period])
        if not generations:
            before = sum(generation.count for generation in periods[period - 1])
            before += int(np.searchsorted(new.get(period - 1, rows[:0]), events[0]))
            generations.append(Generation(ranges_for(before), 0))
        while len(events):
            number = len(generations) - 1
            latest = generations[number]
            if not latest.room:
                generations.append(Generation(min(latest.ranges * GROWTH, RANGES_MAX), 0))
                continue
            taken, events = events[: latest.room], events[latest.room :]
            key = generation_key(prefix, period, number)
            places, members = sets_of(run.identity, taken, latest.ranges)
            due = renewals.due(key, places, elapsed_s)
            for place, rows_of_set, is_due in zip(places.tolist(), members, due.tolist(), strict=True):
                of_set: list[str | bytes] = [f"{key}/{place}", *[texts[row] for row in rows_of_set.tolist()]]
                (result.living_sets if is_due else result.sets).append(of_set)
            result.growths.append(
                Growth(
                    key=key,
                    ranges=latest.ranges,
                    ids=run.identity[taken],
                    begins=not latest.count,
                    renewed=places[due],
                )
            )
            generations[number] = Generation(latest.ranges, latest.count + len(taken))
        fields: list[str | bytes] = [ids_key(prefix, period)]
        # All of them, also unchanged ones: the hash may have ended since it was read.
        for at, generation in enumerate(generations):
            fields += [str(at), f"{generation.ranges}:{generation.count}"]
        result.hashes.append(fields)
        result.periods[period] = tuple(generations)
    return result


def _places(run: Run) -> Iterator[tuple[int, Column]]:
    """Yield the periods to ask with the events to ask for: each event's own, and a neighbour that it is near to."""
    own = run.time_ms // PERIOD_MS
    into = run.time_ms - own * PERIOD_MS
    for period in np.unique(own).tolist():
        here = own == period
        yield period, np.flatnonzero(here)
        for neighbour, near in (
            (period - 1, np.flatnonzero(here & (into <= COPY_MS))),
            (period + 1, np.flatnonzero(here & (into >= PERIOD_MS - COPY_MS))),
        ):
            if len(near):
                yield neighbour, near


def sets_of(identity: Column, events: Column, ranges: int) -> tuple[Column, list[Column]]:
    """Return the places of a generation's sets that events belong to, ascending, and the events of each.

    Args:
        identity: all identities.
        events: places in it.
    """
    places = set_places(identity[events], ranges)
    of_set = grouped(places)
    bounds, ordered = [*of_set.starts.tolist(), len(events)], events[of_set.order]
    return places[of_set.first], [ordered[begin:end] for begin, end in pairwise(bounds)]


def _twins(run: Run, rows: Column, copied: Mask) -> Iterator[tuple[int, bool]]:
    """Yield the events whose identity comes more than once in the run, and whether an earlier one makes it a copy."""
    counted: dict[int, set[int]] = {}
    identities, times = run.identity[rows].tolist(), run.time_ms[rows].tolist()
    for row, identity, time_ms in zip(rows.tolist(), identities, times, strict=True):
        near = near_periods(time_ms)
        earlier = counted.setdefault(identity, set())
        known = bool(earlier & near)
        if not known and not copied[row]:
            earlier.add(time_ms // PERIOD_MS)
        yield row, known


def ranges_for(count: int) -> int:
    """Return how many ranges hold `count` identities and a quarter more."""
    return min(max(RANGES_MIN, -(-count * 5 // (4 * SET_TARGET))), RANGES_MAX)
