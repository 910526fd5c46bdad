"""What a partition's lag means, in a word, from several looks at it. Pure; unknown is None, never 0.

A single look cannot tell a partition that stands still from one that moves, so what needs a rate needs two looks.
The words are Burrow's, measured at what is applied to the counters instead of what a consumer group committed:

unknown   the end, or what is applied, cannot be read now; or the looks so far cannot tell
rewound   applied went back between two looks of the window: Redis lost writes
ok        nothing waits, or what waits is younger than `behind_after_s` and does not stand still
stopped   records wait, and no process reads the partition
stalled   records wait, and applied has not moved for `STALLED_AFTER_S` of looks in which records waited
behind    applied moves, and the oldest record that waits is older than `behind_after_s`

They are tried in this order, but that a partition with nothing waiting is ok before all but the first two.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise, takewhile
from typing import Final

from services.group_members import NOBODY
from services.lag import Lag

WINDOW_S: Final = 60.0
"""How far the looks reach back by which a partition is judged."""

STALLED_AFTER_S: Final = 5.0
"""A slot without events hears of its sources once a second, and a rebalance takes seconds: less says nothing."""


class LagState(StrEnum):
    """A partition's lag in a word."""

    OK = "ok"
    BEHIND = "behind"
    STALLED = "stalled"
    STOPPED = "stopped"
    REWOUND = "rewound"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class LagPoint:
    """One partition in one look.

    Attributes:
        at_s: of the look, on a clock that never goes back.
        age_s: of the oldest record that is not applied; 0 when none waits.
        owner: who reads it, `NOBODY`, or None.
    """

    at_s: float
    row: Lag
    age_s: float | None
    owner: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What a window of looks says of a partition.

    Attributes:
        rate_in, rate_out: records a second that came and that were applied, from the window's first look to its last.
        drain_s: until nothing waits at these rates; 0 when nothing waits, None when it does not shrink.
    """

    state: LagState
    rate_in: float | None
    rate_out: float | None
    drain_s: float | None


def judge(points: Sequence[LagPoint], behind_after_s: float) -> Judgement:
    """Judge a partition by its looks, the oldest first, one at least."""
    rate_in = _rate([(point.at_s, point.row.end) for point in points])
    rate_out = _rate([(point.at_s, point.row.applied) for point in points])
    return Judgement(
        state=_state(points, behind_after_s),
        rate_in=rate_in,
        rate_out=rate_out,
        drain_s=_drain_s(points[-1].row.lag, rate_in, rate_out),
    )


def _state(points: Sequence[LagPoint], behind_after_s: float) -> LagState:
    last = points[-1]
    if last.row.applied is None:
        return LagState.UNKNOWN
    if went_back(points):
        return LagState.REWOUND
    if last.row.lag is None:
        return LagState.UNKNOWN
    if last.row.lag == 0:
        return LagState.OK
    return LagState.STOPPED if last.owner == NOBODY else _state_of_waiting(points, behind_after_s)


def _state_of_waiting(points: Sequence[LagPoint], behind_after_s: float) -> LagState:
    last = points[-1]
    known = [point for point in points if point.row.lag is not None]
    still = list(_standing_still(known))
    if last.at_s - still[-1].at_s >= STALLED_AFTER_S:
        return LagState.STALLED
    if len(known) == 1 or last.age_s is None:
        return LagState.UNKNOWN
    if last.age_s <= behind_after_s:
        return LagState.OK
    # Old, and in all looks the same: whether it moves will be known when they reach further.
    return LagState.UNKNOWN if len(still) == len(known) else LagState.BEHIND


def went_back(points: Sequence[LagPoint]) -> bool:
    """Return whether applied is lower in a look than in one before it."""
    known = [point.row.applied for point in points if point.row.applied is not None]
    return any(later < earlier for earlier, later in pairwise(known))


def _standing_still(known: Sequence[LagPoint]) -> Iterator[LagPoint]:
    """Yield the last look and those before it, back to where applied was another or nothing waited."""
    applied = known[-1].row.applied
    return takewhile(lambda point: point.row.applied == applied and point.row.lag != 0, reversed(known))


def _rate(samples: Sequence[tuple[float, int | None]]) -> float | None:
    """Return the growth a second from the first known sample to the last; None for less than two, or a step back."""
    known = [(at_s, value) for at_s, value in samples if value is not None]
    if len(known) < 2 or any(later < earlier for (_, earlier), (_, later) in pairwise(known)):
        return None
    (first_s, first), (last_s, last) = known[0], known[-1]
    return (last - first) / (last_s - first_s) if last_s > first_s else None


def _drain_s(lag: int | None, rate_in: float | None, rate_out: float | None) -> float | None:
    if lag == 0:
        return 0.0
    if lag is None or rate_in is None or rate_out is None or rate_out <= rate_in:
        return None
    return lag / (rate_out - rate_in)
