"""What an operator is told of lag and freshness, from the looks of a window. Pure; unknown is None, never 0."""

from collections.abc import Sequence
from dataclasses import dataclass

from services.lag_looks import Look
from services.lag_states import LagPoint, LagState, judge
from services.windows import rfc3339


@dataclass(frozen=True, slots=True, kw_only=True)
class LagRow:
    """One partition of one topic, as the roles that read it have it.

    Attributes:
        end: offset of the next record of the log.
        applied: everything before this offset is in the counters, or dead-lettered.
        lag: records between the two.
        age_seconds: of the oldest record that is not applied; 0 when none waits.
        rate_in, rate_out: records a second that came and were applied, over the looks there were.
        drain_seconds: until nothing waits at these rates; None also when it does not shrink.
        state: as `services.lag_states` says.
        owner: the process that reads it (the aggregator for the frames, else ingest), `nobody` when none does.
    """

    topic: str
    partition: int
    role: str
    end: int | None
    applied: int | None
    lag: int | None
    age_seconds: float | None
    rate_in: float | None
    rate_out: float | None
    drain_seconds: float | None
    state: LagState
    owner: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FreshnessRow:
    """As of when the numbers of one slot are, and how long ago that was."""

    partition: int
    as_of: str | None
    seconds: float | None


def lag_rows(looks: Sequence[Look], behind_after_s: float) -> list[LagRow]:
    """Return a row for each partition of the last look, judged by all of them, the oldest first."""
    return [
        _lag_row([look.points[source] for look in looks if source in look.points], behind_after_s)
        for source in looks[-1].points
    ]


def freshness_rows(look: Look) -> list[FreshnessRow]:
    """Return a row for each slot."""
    return [
        FreshnessRow(
            partition=partition,
            as_of=None if as_of_ms is None else rfc3339(as_of_ms),
            seconds=None if as_of_ms is None else max(0, look.at_ms - as_of_ms) / 1000,
        )
        for partition, as_of_ms in enumerate(look.as_of_ms)
    ]


def _lag_row(points: Sequence[LagPoint], behind_after_s: float) -> LagRow:
    last, judged = points[-1], judge(points, behind_after_s)
    return LagRow(
        topic=last.row.topic,
        partition=last.row.partition,
        role=last.row.role,
        end=last.row.end,
        applied=last.row.applied,
        lag=last.row.lag,
        age_seconds=_rounded(last.age_s),
        owner=last.owner,
        rate_in=_rounded(judged.rate_in),
        rate_out=_rounded(judged.rate_out),
        drain_seconds=_rounded(judged.drain_s),
        state=judged.state,
    )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
