"""One half of a fold: the users of organizations, or the users of teams, with their levels, indexes and cells. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from aggregator.dedup import Mask
from aggregator.known import Knowledge
from aggregator.levels import chain, sum_up
from aggregator.members import Indexes, Members, Ordinals
from aggregator.renewals import pause_s
from aggregator.run import Run
from aggregator.stored_cells import Active, Hash, LevelSums, StoredCells, Writes
from services.frames import Column
from services.settings import EventSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Keeping:
    """How long things are kept, in seconds; None for ever.

    Attributes:
        hours_s, days_s: hour and day windows after their end.
        ids_s: dedup sets after their last write.
    """

    hours_s: float | None
    days_s: float | None
    ids_s: float | None

    @property
    def ids_pause_s(self) -> int:
        """How long the end of a dedup set is left as it is."""
        return pause_s(self.ids_s)


def keeping_of(events: EventSettings) -> Keeping:
    """Return how long the live counters are kept."""
    return Keeping(
        hours_s=events.keep_hours,
        days_s=events.keep_days,
        ids_s=None if events.max_age is None else events.max_age + events.dedup_margin,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where and with what a run is folded.

    Attributes:
        prefix: `services.keyspace.epoch_prefix` of the partition.
        knowledge: of the partition before the run; the fold adds what it reads.
        now_s: UNIX seconds; what should have ended by now is read again. It decides no outcome.
        elapsed_s: a clock of the worker's own that is never set, in seconds; what is known of sets ends by it. Where
            the machine is suspended, it stands still.
    """

    prefix: str
    keeping: Keeping
    knowledge: Knowledge
    now_s: int
    elapsed_s: float


class Branch:
    """The members of one kind in a run, and everything that is counted of them.

    Args:
        rows: events of the run that count here.
        of: their members.
        parent_parts, member_parts: the scope part of each parent, and of each member whose own cells are kept.
    """

    def __init__(
        self,
        run: Run,
        rows: Column,
        of: Members,
        parent_parts: Sequence[str],
        member_parts: Sequence[str] | None,
        place: Place,
    ) -> None:
        self._rows = rows
        self._counters = run.counters[rows]
        self._chain = chain(of.of_event, of.parent, run.hour[rows], run.product[rows])
        index_keys = [f"{place.prefix}i:{part}" for part in parent_parts]
        self.indexes = Indexes(of, index_keys, run.strings, place.knowledge.ordinals)
        levels = [
            (self._chain.parent_hours, parent_parts, place.keeping.hours_s),
            (self._chain.parent_days, parent_parts, place.keeping.days_s),
        ]
        if member_parts is not None:
            levels += [
                (self._chain.member_hours, member_parts, place.keeping.hours_s),
                (self._chain.member_days, member_parts, place.keeping.days_s),
            ]
        self._stored = [
            StoredCells(
                cells,
                place.prefix,
                parts,
                keep_s,
                with_actives=parts is parent_parts,
                known=place.knowledge.hashes,
                now_s=place.now_s,
            )
            for cells, parts, keep_s in levels
        ]

    @property
    def cells(self) -> int:
        return sum(len(stored.cells) for stored in self._stored)

    def unknown(self) -> Iterator[tuple[str, list[Hash | None], int]]:
        """Yield each hash to read: its key, and where it is wanted."""
        for stored in self._stored:
            yield from stored.unknown()

    def ordinals(self, live: Mask) -> Ordinals:
        """Return the members' ordinals; `live` are the events of the run that count."""
        return self.indexes.ordinals(live[self._rows])

    def write(self, live: Mask, of: Ordinals, writes: Writes) -> None:
        """Sum the live events and add what they make of the cells."""
        sums = sum_up(self._chain, live[self._rows], self._counters)
        hours = np.flatnonzero(sums.member_hour_counters[:, 0])
        days = np.flatnonzero(sums.member_day_counters[:, 0])
        active_hours = Active(
            self._chain.parent_hours_from.group[hours], of.values[self._chain.member_hours.scopes[hours]]
        )
        active_days = Active(self._chain.parent_days_from.group[days], of.values[self._chain.member_days.scopes[days]])
        levels = (
            LevelSums(sums.parent_hour_events, sums.parent_hour_counters, active_hours),
            LevelSums(sums.parent_day_events, sums.parent_day_counters, active_days),
            LevelSums(sums.member_hour_events, sums.member_hour_counters),
            LevelSums(sums.member_day_events, sums.member_day_counters),
        )
        for stored, level in zip(self._stored, levels, strict=False):
            stored.write(level, writes)
