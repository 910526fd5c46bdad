"""Asks the dedup index of one partition for one identity, whatever the time of its event."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

import numpy as np

from services.clock import now_ms
from services.counters import CounterStore, PartitionState, ReadRequest, StoreUnavailable
from services.dedup_index import PERIOD_MS, Generation, generation_key, read_period, set_places
from services.identifiers import PartitionId
from services.keyspace import epoch_prefix, ids_key, tags
from services.windows import DAY_MS, first_day_of_month

LATE_PERIODS: Final = 12
"""Asked for in any case: an event is at most 35 days old, and kept for 37 days more by default."""

GROUPS_PER_READ: Final = 1_000

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What one read saw: the state, and the periods of event time in which the index holds the identity."""

    state: PartitionState | None
    periods: Sequence[int] = ()


async def look_up(store: CounterStore, partition: PartitionId, partitions: int, identity: int) -> Known:
    """Return where the index holds an identity, signed as in the frames.

    Raises:
        StoreUnavailable, StoreRefused: as the store does; an epoch that changes meanwhile is unavailable.
    """
    state = await store.state(partition)
    if state is None:
        return Known(state=None)
    prefix = epoch_prefix(tags(partitions)[partition], state.epoch)
    periods = periods_to_ask(state.months, now_ms())
    generations: list[tuple[int, Sequence[Generation]]] = []
    for some in _slices(periods):
        read = await store.read(partition, ReadRequest(whole=[ids_key(prefix, period) for period in some]))
        state = _still(state, read.state)
        generations += zip(some, map(read_period, read.whole), strict=True)
    asked = [
        (period, f"{generation_key(prefix, period, number)}/{_place(identity, generation)}")
        for period, of_period in generations
        for number, generation in enumerate(of_period)
    ]
    found: set[int] = set()
    for groups in _slices(asked):
        read = await store.read(partition, ReadRequest(members=[[key, str(identity)] for _, key in groups]))
        state = _still(state, read.state)
        found |= {period for (period, _), is_member in zip(groups, read.members, strict=True) if is_member}
    return Known(state=state, periods=sorted(found))


def periods_to_ask(months: Iterable[int], at_ms: int) -> list[int]:
    """Return the periods that can hold an identity: those of the months with events, and the latest ones."""
    now = at_ms // PERIOD_MS
    periods = set(range(now - LATE_PERIODS, now + 2))
    for month in months:
        begin_ms, end_ms = (first_day_of_month(each) * DAY_MS for each in (month, month + 1))
        periods |= set(range(begin_ms // PERIOD_MS, (end_ms - 1) // PERIOD_MS + 1))
    return sorted(periods)


def _still(state: PartitionState, now: PartitionState | None) -> PartitionState:
    """Return what was read later, of the same epoch: keys of one that was replaced are gone, and would tell nothing."""
    if now is None or now.epoch != state.epoch:
        raise StoreUnavailable("a rebuild replaced the counters while they were asked: ask again")
    return now


def _place(identity: int, generation: Generation) -> int:
    return int(set_places(np.array([identity], dtype=np.int64), generation.ranges)[0])


def _slices(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    for start in range(0, len(items), GROUPS_PER_READ):
        yield items[start : start + GROUPS_PER_READ]
