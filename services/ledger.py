"""The ledger: what became of the records of a source partition, by hour of broker time. Pure.

A row in one partition's slot is a packed value (`services.counter_codec`) of the numbers in `ENTRIES`. A source's
received and dead-lettered records are counted in its home slot (source partition modulo P), the others in the slot of
their organization: summed over all slots, received = counted + duplicate + dead-lettered, for every hour that ended
before `asOf`. Redelivered records stand apart: they were received before.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from services.counters import PartitionState
from services.freshness import as_of_ms
from services.windows import HOUR_MS

ENTRIES: Final = ("received", "counted", "duplicate", "redelivered", "dead_lettered")

Row = tuple[str, int, int]
"""Source topic, source partition, hour of broker time."""


class HourState(StrEnum):
    """Whether the equation must hold for an hour: it ended before `asOf`, it did not, or `asOf` is unknown."""

    CLOSED = "closed"
    OPEN = "open"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """One slot's part of the ledger.

    Attributes:
        state: as it was when the first of the rows was read, or earlier.
        rows: numbers in the order of `ENTRIES`.
    """

    state: PartitionState | None
    rows: Mapping[Row, Sequence[int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerHour:
    """One source partition in one hour, summed over all slots."""

    topic: str
    partition: int
    hour: int
    state: HourState
    received: int
    counted: int
    duplicate: int
    redelivered: int
    dead_lettered: int

    @property
    def remainder(self) -> int | None:
        """Records received and not explained; below 0, explained and not received. None while it may still change."""
        if self.state is not HourState.CLOSED:
            return None
        return self.received - self.counted - self.duplicate - self.dead_lettered


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """The ledger of some hours.

    Attributes:
        first_hour, next_hour: what was read, half-open.
        sources: topic -> how many partitions the slots have heard of; topics never heard of are left out.
        as_of_ms: topic -> broker time before which all its records are in every slot; None when unknown.
        hours: ascending by topic, partition and hour; hours without a record are left out.
    """

    first_hour: int
    next_hour: int
    sources: Mapping[str, int]
    as_of_ms: Mapping[str, int | None]
    hours: Sequence[LedgerHour]

    def closed(self) -> dict[tuple[str, int], list[LedgerHour]]:
        """Return the closed hours of each source partition of the topics whose `asOf` is known."""
        found: dict[tuple[str, int], list[LedgerHour]] = {
            (topic, partition): []
            for topic, count in self.sources.items()
            if self.as_of_ms[topic] is not None
            for partition in range(count)
        }
        for each in self.hours:
            if each.state is HourState.CLOSED:
                found.setdefault((each.topic, each.partition), []).append(each)
        return found

    @property
    def alarms(self) -> list[LedgerHour]:
        """The closed hours for which the equation does not hold."""
        return [each for each in self.hours if each.remainder]

    @property
    def balanced(self) -> bool | None:
        """Whether every record of the closed hours is explained; None when that is not known of every topic."""
        if self.alarms:
            return False
        known = bool(self.as_of_ms) and all(moment is not None for moment in self.as_of_ms.values())
        return True if known else None


def sum_up(slots: Sequence[Slot], topics: Iterable[str], first_hour: int, next_hour: int) -> Ledger:
    """Return the ledger that the slots make together; rows outside the hours are left out."""
    sums: dict[Row, Sequence[int]] = {}
    for slot in slots:
        add_to(sums, slot.rows)
    return ledger_of([slot.state for slot in slots], [sums], topics, first_hour, next_hour)


def add_to(sums: dict[Row, Sequence[int]], rows: Mapping[Row, Sequence[int]]) -> None:
    """Add one slot's rows to those of others."""
    for row, numbers in rows.items():
        held = sums.get(row)
        sums[row] = numbers if held is None else [a + b for a, b in zip(held, numbers, strict=True)]


def ledger_of(
    states: Sequence[PartitionState | None],
    sums: Iterable[Mapping[Row, Sequence[int]]],
    topics: Iterable[str],
    first_hour: int,
    next_hour: int,
) -> Ledger:
    """Return the ledger of rows that are summed over all slots, each row once.

    Args:
        states: of the slots, as they were before the rows were read; for rows of closed hours, then or later.
    """
    sources = {topic: count for topic in topics if (count := heard_of(states, topic))}
    moments = {topic: as_of(states, topic) for topic in sources}
    rows = [
        (row, numbers)
        for some in sums
        for row, numbers in some.items()
        if row[0] in sources and first_hour <= row[2] < next_hour
    ]
    hours = [_hour(row, numbers, moments[row[0]]) for row, numbers in sorted(rows)]
    return Ledger(first_hour=first_hour, next_hour=next_hour, sources=sources, as_of_ms=moments, hours=hours)


def unexplained(closed: Iterable[LedgerHour]) -> int:
    """Return the sum of closed hours' remainders without their sign: one hour's must not hide another's."""
    return sum(abs(each.remainder or 0) for each in closed)


def heard_of(states: Iterable[PartitionState | None], topic: str) -> int:
    """Return how many partitions of a topic the slots have heard of."""
    return max((state.source_partitions.get(topic, 0) for state in states if state is not None), default=0)


def as_of(states: Sequence[PartitionState | None], topic: str) -> int | None:
    """Return the smallest `asOf` of all slots: any of them may own a record of the topic."""
    count = heard_of(states, topic)
    moments = [as_of_ms(state, topic) for state in states if _has_heard_of_all(state, topic, count)]
    known = [moment for moment in moments if moment is not None]
    return min(known) if known and len(known) == len(states) else None


def _has_heard_of_all(state: PartitionState | None, topic: str, count: int) -> bool:
    """Return whether a slot knows every source partition that some slot knows: else its `asOf` leaves one out."""
    return state is not None and state.source_partitions.get(topic, 0) >= count


def _hour(row: Row, numbers: Sequence[int], moment: int | None) -> LedgerHour:
    topic, partition, hour = row
    state = HourState.UNKNOWN
    if moment is not None:
        state = HourState.CLOSED if (hour + 1) * HOUR_MS <= moment else HourState.OPEN
    return LedgerHour(
        topic=topic, partition=partition, hour=hour, state=state, **dict(zip(ENTRIES, numbers, strict=True))
    )
