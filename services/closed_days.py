"""What is known of the ledger's closed days, so that what no longer changes is not read every minute. Pure.

A row of a closed hour changes in `redelivered` alone, unless Redis loses writes, a rebuild replaces it, or somebody
writes to it. The first two are seen by the states; for the third, days are read again in turn.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from services.counters import PartitionState
from services.ledger import Row, as_of, heard_of
from services.windows import HOUR_MS, HOURS_PER_DAY

READINGS: Final = 30
"""In so many each day is read again: half an hour with `api.ledger_interval` of a minute."""

Sums = dict[Row, Sequence[int]]
"""Rows of one day, summed over all slots."""


class ClosedDays:
    """The rows of days, as far as they were closed when they were read; and those of the last reading."""

    def __init__(self) -> None:
        self._known: dict[int, Sums] = {}
        self._last: Mapping[int, Sums] = {}
        self._stands: object = None
        self._as_of: list[int | None] = []
        self._next_open = 0

    def stand_at(self, states: Sequence[PartitionState | None], topics: Sequence[str], days: Sequence[int]) -> None:
        """Take in where the slots stand, and forget what may be another by now, or is not kept any more."""
        moments = [as_of(states, topic) for topic in topics if heard_of(states, topic)]
        stands = (
            [None if state is None else state.epoch for state in states],
            [heard_of(states, topic) for topic in topics],
        )
        if stands != self._stands or _went_back(self._as_of, moments):
            self._known = {}
        self._stands, self._as_of = stands, moments
        self._known = {day: sums for day, sums in self._known.items() if day in days}
        known = [moment for moment in moments if moment is not None]
        closed = min(known) if known and len(known) == len(moments) else 0
        self._next_open = closed // (HOUR_MS * HOURS_PER_DAY)

    def to_read(self, days: Sequence[int]) -> list[int]:
        """Return the days that are to be read now: those not known, and the next ones in turn."""
        in_turn = list(self._known)[: -(-len(self._known) // READINGS)]
        return [day for day in days if day not in self._known or day in in_turn]

    def take(self, read: Mapping[int, Sums]) -> None:
        """Take what was read; days that were closed before are known from now on."""
        self._last = read
        for day, sums in read.items():
            self._known.pop(day, None)
            if day < self._next_open:
                self._known[day] = sums

    def day(self, day: int) -> Sums:
        return self._last[day] if day in self._last else self._known[day]


def _went_back(before: Sequence[int | None], now: Sequence[int | None]) -> bool:
    """Return whether a time is unknown, or earlier than it was: Redis lost writes."""
    return len(before) != len(now) or any(
        later is None or earlier is None or later < earlier for earlier, later in zip(before, now, strict=True)
    )
