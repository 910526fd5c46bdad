"""A poll's records judged together, step by step over whole lists. Pure.

Each step marks the records that it does not find plainly good; these are judged one by one in the end, by
`ingest.admission`, whose verdict on any record is the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import compress, count
from operator import attrgetter, ne
from typing import Final, NamedTuple, Protocol, cast

import msgspec
import numpy as np

from ingest.admission import Admission, Rejected
from ingest.binary_mode import is_binary_mode
from ingest.time_columns import read_times
from services.event_rules import WrongTime
from services.events import ReceivedEvent
from services.frames import Column

_headers: Final = attrgetter("headers")


class JudgedRecord(Protocol):
    """What is read of a Kafka record to judge it."""

    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Sequence[tuple[str, bytes]]: ...


class Texts(NamedTuple):
    """Attributes of events, one list each, in the order of the events."""

    organizations: list[str]
    teams: list[str | None]
    users: list[str]
    sources: list[str]
    names: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class AdmittedMany:
    """What became of some records.

    Attributes:
        rows: (events,) places of the admitted records, ascending.
        events: as decoded; their `time` is text.
        texts: of the events; `names` are their ids.
        time_ms: (events,) their `time` in milliseconds since the epoch, rounded down.
        rejected: place -> why, of every other record.
        headed: places of the records that have headers.
    """

    rows: Column
    events: Sequence[ReceivedEvent]
    texts: Texts
    time_ms: Column
    rejected: dict[int, Rejected]
    headed: Sequence[int]


class AdmissionOfMany:
    """Judges the records of a poll as `admission` judges each of them."""

    def __init__(self, admission: Admission) -> None:
        self._one = admission

    def admit(self, records: Sequence[JudgedRecord], broker_ms: Column) -> AdmittedMany:
        """Return the events, and why the other records are none.

        Args:
            broker_ms: (records,) their broker timestamps.
        """
        values = [record.value or b"" for record in records]
        headed: Sequence[int] = ()
        events, doubtful = self._decode(values)
        if any(map(_headers, records)):
            headed = [at for at, record in enumerate(records) if record.headers]
            doubtful |= {at for at in headed if is_binary_mode(records[at].headers)}
        times_ms = np.zeros(len(records), dtype=np.int64)
        # One that could not be decoded is stood in for by one that could, so that the lists below stay whole.
        stand_in = next((event for event in events if event is not None), None)
        if stand_in is not None:
            whole = [event or stand_in for event in events] if doubtful else cast("list[ReceivedEvent]", events)
            texts = _texts(whole)
            doubtful |= self._suspect(values, whole, doubtful)
            doubtful |= self._strange(texts) | self._far(whole, broker_ms, times_ms)
            if not doubtful:
                rows = np.arange(len(records))
                return AdmittedMany(rows=rows, events=whole, texts=texts, time_ms=times_ms, rejected={}, headed=headed)
        rejected: dict[int, Rejected] = {}
        for at in sorted(doubtful):
            outcome = self._one.admit(records[at].value, int(broker_ms[at]), records[at].headers)
            if isinstance(outcome, Rejected):
                rejected[at] = outcome
            else:
                events[at], times_ms[at] = outcome.event, outcome.time_ms
        rows = np.delete(np.arange(len(records)), list(rejected))
        admitted = [event for at in rows.tolist() if (event := events[at]) is not None]
        return AdmittedMany(
            rows=rows, events=admitted, texts=_texts(admitted), time_ms=times_ms[rows], rejected=rejected, headed=headed
        )

    def _decode(self, values: Sequence[bytes]) -> tuple[list[ReceivedEvent | None], set[int]]:
        """Return the events, None where there is none or the record is too long, and the places of these."""
        events: list[ReceivedEvent | None] = []
        failed: set[int] = set()
        left = map(self._one.decode, values)
        while len(events) < len(values):
            try:
                # What was decoded before one that cannot be stays in the list, and `left` goes on behind that one.
                events.extend(left)
            except (msgspec.MsgspecError, UnicodeError, RecursionError):
                failed.add(len(events))
                events.append(None)
        if max(map(len, values), default=0) > self._one.max_bytes:
            for at, value in enumerate(values):
                if len(value) > self._one.max_bytes:
                    failed.add(at)
                    events[at] = None
        return events, failed

    def _strange(self, texts: Texts) -> set[int]:
        """Return the places of events with an id that is not remembered as good, or with characters to look at."""
        strange: set[int] = set()
        good_ids, good_sources = self._one.good_ids, self._one.good_sources
        for column, good in (
            (texts.organizations, good_ids),
            (texts.teams, good_ids),
            (texts.users, good_ids),
            (texts.sources, good_sources),
        ):
            if not good.issuperset(column):
                strange |= {at for at, text in enumerate(column) if text not in good}
        if not all(map(str.isprintable, texts.names)):
            strange |= {at for at, text in enumerate(texts.names) if not text.isprintable()}
        return strange

    def _far(self, events: Sequence[ReceivedEvent], broker_ms: Column, times_ms: Column) -> set[int]:
        """Put the events' times into `times_ms`; return the places of those that have none, or are too far away."""
        far: set[int] = set()
        times_ms[:], read = read_times([event.time for event in events])
        for at in np.flatnonzero(~read).tolist():
            try:
                times_ms[at] = self._one.time_ms(events[at].time)
            except WrongTime:
                far.add(at)
        near = (times_ms >= broker_ms - self._one.max_age_ms) & (times_ms <= broker_ms + self._one.max_ahead_ms)
        return far | set(np.flatnonzero(~near).tolist())

    def _suspect(self, values: Sequence[bytes], events: Sequence[ReceivedEvent], failed: set[int]) -> set[int]:
        """Return the places of records, without those that failed, that may hold a key twice or what was ignored."""
        # One call; JSON has no line break in it.
        written = self._one.encode_lines(events).split(b"\n")[:-1]
        longer = map(ne, map(len, values), map(len, written))
        return {
            at for at in compress(count(), longer) if at not in failed and self._one.is_suspect(values[at], written[at])
        }


def _texts(events: Sequence[ReceivedEvent]) -> Texts:
    return Texts(
        organizations=[event.organizationid for event in events],
        teams=[event.teamid for event in events],
        users=[event.subject for event in events],
        sources=[event.source for event in events],
        names=[event.id for event in events],
    )
