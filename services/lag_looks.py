"""What one look at both servers saw, and which looks a partition is judged by. Pure; unknown is None, never 0."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from services.freshness import as_of_ms
from services.group_members import GroupMembers, Source
from services.lag import Lag, States, covered_up_to, frame_lags, source_lags
from services.lag_states import WINDOW_S, LagPoint
from services.settings import KafkaSettings, TopicSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Logs:
    """What was seen of the logs.

    Attributes:
        ends: offset of the next record of each partition, topics that do not exist left out; None when Kafka is away.
        waiting_since_ms: broker time of the first record that is not applied, where there is one and it could be read.
        groups: by name; one that the broker would not describe is left out.
    """

    ends: Mapping[Source, int] | None = None
    waiting_since_ms: Mapping[Source, int] = field(default_factory=dict)
    groups: Mapping[str, GroupMembers] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Away:
    """Why nothing is known from a server, in a sentence; None for one that answered."""

    kafka: str | None = None
    redis: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One look.

    Attributes:
        at_s: when, on a clock that never goes back; `at_ms` the same on the wall clock.
        points: of each partition that is known of, in the order of a report.
        as_of_ms: of each slot.
    """

    at_s: float
    at_ms: int
    points: Mapping[Source, LagPoint]
    as_of_ms: Sequence[int | None]
    away: Away


def look_of(
    topics: TopicSettings,
    logs: Logs,
    states: States,
    away: Away,
    *,
    before: Look | None,
    at_s: float,
    at_ms: int,
    kafka: KafkaSettings,
) -> Look:
    """Return one look, from what was seen of the logs and of the slots.

    Args:
        before: the look before this one: while Kafka is away its partitions are still there, unknown.
        kafka: names the groups that read the topics.
    """
    rows = _lags(topics, logs.ends, states)
    if before is not None and away.kafka is not None:
        rows += _unknown(before, rows)
    groups = {topics.frames: kafka.aggregator_group}
    return Look(
        at_s=at_s,
        at_ms=at_ms,
        points={
            (row.topic, row.partition): _point(row, logs, groups.get(row.topic, kafka.ingest_group), at_s, at_ms)
            for row in rows
        },
        as_of_ms=[as_of_ms(state, topics.events) for state in states],
        away=away,
    )


def positions(topics: TopicSettings, states: States) -> dict[Source, int]:
    """Return the offset of the next record that is not applied, of each partition where that is known."""
    heard_of = {source for state in states if state is not None for source in state.sources}
    found = {source: covered_up_to(states, *source) for source in heard_of}
    found |= {(row.topic, row.partition): row.applied for row in frame_lags(topics.frames, None, states)}
    return {source: applied for source, applied in found.items() if applied is not None}


def within_window(looks: Iterable[Look], at_s: float) -> list[Look]:
    """Return the looks by which a partition is judged at a time: those of the window, and two in any case."""
    ordered = list(looks)
    recent = [look for look in ordered if look.at_s >= at_s - WINDOW_S]
    return recent if len(recent) > 1 else ordered[-2:]


def _lags(topics: TopicSettings, ends: Mapping[Source, int] | None, states: States) -> list[Lag]:
    sources = [
        row for name in (topics.events, topics.directory) for row in source_lags(name, _of_topic(name, ends), states)
    ]
    return sources + frame_lags(topics.frames, _of_topic(topics.frames, ends), states)


def _unknown(before: Look, rows: Sequence[Lag]) -> list[Lag]:
    """Return the partitions of a look that are not in these rows."""
    missing = before.points.keys() - {(row.topic, row.partition) for row in rows}
    return [
        replace(point.row, end=None, applied=None, lag=None)
        for source, point in before.points.items()
        if source in missing
    ]


def _of_topic(topic: str, ends: Mapping[Source, int] | None) -> dict[int, int] | None:
    """Return the ends of one topic by partition, None when they are not known or it does not exist."""
    found = {partition: end for (name, partition), end in (ends or {}).items() if name == topic}
    return found or None


def _point(row: Lag, logs: Logs, group: str, at_s: float, at_ms: int) -> LagPoint:
    source = (row.topic, row.partition)
    members = logs.groups.get(group)
    since_ms = logs.waiting_since_ms.get(source)
    age_s = None if since_ms is None or row.lag is None else max(0.0, (at_ms - since_ms) / 1000)
    return LagPoint(
        at_s=at_s,
        row=row,
        age_s=0.0 if row.lag == 0 else age_s,
        owner=None if members is None else members.owner(source),
    )
