"""What a script call of a partition comes to, an event: cells, sets of identities, hashes that must be read. Pure.

An event costs little by itself; what costs is what it does not share with the other events of its call. So many events
of so many users are folded together that ids and cells fill a call (setting aggregator.max_call_items), or as many as
come while a partition waits for more (`aggregator.frame_queue.PATIENCE_S`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import expm1
from typing import Final

from services.dedup_index import SET_TARGET

WAIT_S: Final = 2.0
"""How long a partition of a worker that is behind gathers events at most (`aggregator.frame_queue.PATIENCE_S`)."""

FRAMES_MAX: Final = 64
"""Frames that wait for one partition at most (`aggregator.frame_queue.QUEUE_FRAMES`)."""

KNOWN_FIELDS: Final = 300_000
"""Fields that a worker knows on average: between half and all of `aggregator.known.FIELDS_MAX`."""

RANGES_MIN: Final = 16.0
ROOM: Final = 1.25
"""A period begins with ranges for so many times the identities of the one before (`aggregator.dedup.ranges_for`)."""

NEIGHBOURS: Final = 9 / 7
"""Within a day of either edge of its week an event is looked for in the neighbouring period too."""

TEXTS: Final = 20.0
"""Models, languages and the like in a frame."""

IDS_KNOWN: Final = 4_000_000
"""Identities that a worker knows without asking (`aggregator.known_ids.IDS_MAX`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """What the events are like.

    Attributes:
        per_second: at which they are counted.
        per_hour: of event time; more than 3,600 `per_second` would be where a log is read again.
        users, teams, organizations: that they fall on.
        product_shares: of the events.
        new_hashes: hashes that an event begins, on average.
        fresh: names of users that an ingest worker meets and does not remember, for each event.
        known_weight: fields of the hashes that all workers together would have to know.
        hash_fields: of a user's hash, on average.
        week_ids: identities of a period of the dedup index.
        first_period: whether the index has no period before this one, so that it grows from its smallest size.
    """

    per_second: float
    per_hour: float
    users: float
    teams: float
    organizations: float
    product_shares: Sequence[float]
    new_hashes: float
    fresh: float
    known_weight: float
    hash_fields: float
    week_ids: float
    first_period: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call of a partition: its `events`, those of a frame, and how many of each an event has.

    Attributes:
        strings, fresh: in the frames' tables, and of these, which ingest did not remember.
        cells: written.
        reads, fields: hashes read whole, and fields in them.
        sets: of identities, written to or looked up in.
    """

    events: float
    frame_events: float
    strings: float
    fresh: float
    cells: float
    reads: float
    fields: float
    sets: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Settings that bound a call: ids and cells, records of a poll, events of a frame; `workers`: aggregators."""

    call_items: int = 20_000
    poll_records: int = 20_000
    frame_events: int = 2_800
    workers: float = 1


def cells(of: Traffic, share: float, events: float) -> float:
    """Return the cells that a call of a partition with this share of everything touches."""
    hours = 1 + events / (of.per_hour * share)
    days = 1 + (hours - 1) / 24
    total = 0.0
    for members in (of.users * share, of.teams * share, max(of.organizations * share, 1.0)):
        for boxes in (members * hours, members * days):
            if boxes:
                total -= boxes * sum(expm1(-events * product / boxes) for product in of.product_shares)
    return total


def call(of: Traffic, share: float, limits: Limits) -> Call:
    """Return the usual call of a partition with this share, by workers that have as much to do as they can."""
    frame_events = max(min(limits.poll_records * share, limits.frame_events), 1.0)
    events = _events(of, share, limits.call_items, frame_events)
    written = cells(of, share, events)
    users = of.users * share
    forgotten = max(0.0, 1 - KNOWN_FIELDS / max(of.known_weight / limits.workers, 1.0))
    evicted = max(2 * _distinct(users, events) * forgotten - of.new_hashes, 0.0)
    sets = _sets(of, share, events)
    knows_ids = of.week_ids / limits.workers < IDS_KNOWN
    return Call(
        events=events,
        frame_events=frame_events,
        strings=_distinct(users, frame_events) + _distinct(of.teams * share, frame_events) + TEXTS / frame_events,
        fresh=of.fresh,
        cells=written / events,
        reads=evicted + of.new_hashes,
        fields=evicted * of.hash_fields,
        sets=sets if knows_ids else sets * (1 + NEIGHBOURS),
    )


def _distinct(members: float, events: float) -> float:
    """Return how many of so many members so many events touch, for each of the events."""
    return -members * expm1(-events / members) / events if members else 0.0


def _sets(of: Traffic, share: float, events: float) -> float:
    """Return the sets of identities that a call writes to, for each of its events."""
    ids = of.week_ids * share
    ranges = max(RANGES_MIN, ids / SET_TARGET if of.first_period else ids * ROOM / SET_TARGET)
    return _distinct(ranges, events)


def _events(of: Traffic, share: float, max_items: int, frame_events: float) -> float:
    """Return the events of a call: whole frames, at least one, so that half a frame of what it may hold stays free."""
    most = max(min(of.per_second * share * WAIT_S, FRAMES_MAX * frame_events), 1.0)
    low, high = 1.0, most
    while high - low > 0.005 * high:
        middle = (low + high) / 2
        if middle + cells(of, share, middle) < max_items:
            low = middle
        else:
            high = middle
    return max(high if high == most else high - frame_events / 2, min(frame_events, most))
