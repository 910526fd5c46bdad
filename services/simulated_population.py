"""Who the simulated events are about: organizations of very different sizes, their teams and their users. Pure."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np

from services.windows import DAY_MS

HOUR_WEIGHTS: Final = (1, 1, 1, 1, 1, 1, 2, 5, 12, 18, 20, 19, 13, 16, 19, 18, 16, 11, 7, 5, 4, 3, 2, 1)
"""How much happens in each hour (UTC) of a working day; a weekend day has a fifth of it."""

FLAT_WEIGHTS: Final = (1,) * 24


class Profile(StrEnum):
    """A workload: `demo` is small and has everything, `bench` is the benchmark's (design.md section 9)."""

    DEMO = "demo"
    BENCH = "bench"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What a profile looks like.

    Attributes:
        organizations: their ids, the largest first; sizes fall as 1/rank (Zipf).
        teams, users: how many in all.
        type_shares: of completions, chat, agent and instruct events; sums to 1.
        span_ms: event times lie in this long before the end.
        hour_weights: of the hours of a working day.
        late_share, late_max_ms: so many events have a `time` up to so much before their place.
        copy_share: exact copies of an earlier line.
        no_team_share: events without `teamid`.
        idle_share: events whose leading count is 0, so that they make nobody active.
        default_events: when no number is asked for.
    """

    organizations: tuple[str, ...]
    teams: int
    users: int
    type_shares: tuple[float, float, float, float]
    span_ms: int
    hour_weights: tuple[int, ...]
    late_share: float
    late_max_ms: int
    copy_share: float
    no_team_share: float
    idle_share: float
    default_events: int


SHAPES: Final = {
    Profile.DEMO: Shape(
        organizations=("acme", "globex", "Müller & Söhne", "initech", "hooli 100%", "umbrella:eu"),
        teams=24,
        users=400,
        type_shares=(0.62, 0.20, 0.13, 0.05),
        span_ms=7 * DAY_MS,
        hour_weights=HOUR_WEIGHTS,
        late_share=0.03,
        late_max_ms=DAY_MS,
        copy_share=0.02,
        no_team_share=0.08,
        idle_share=0.05,
        default_events=20_000,
    ),
    Profile.BENCH: Shape(
        organizations=tuple(f"org-{rank:02d}" for rank in range(1, 51)),
        teams=500,
        users=20_000,
        type_shares=(0.70, 0.20, 0.10, 0.0),
        span_ms=3 * DAY_MS,
        hour_weights=FLAT_WEIGHTS,
        late_share=0.02,
        late_max_ms=2 * 3_600_000,
        copy_share=0.01,
        no_team_share=0.0,
        idle_share=0.0,
        default_events=2_000_000,
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """Whose event it is: ids as they stand in it."""

    organization: str
    team: str | None
    user: str


def members(shape: Shape) -> list[Member]:
    """Return every user of a profile, organizations in order; the same list each time."""
    teams = _shares(shape.teams, len(shape.organizations))
    users = _shares(shape.users, len(shape.organizations))
    return [
        Member(
            organization=organization,
            team=f"t{rank:02d}-{number % teams[rank]:03d}",
            user=f"u{rank:02d}-{number:05d}",
        )
        for rank, organization in enumerate(shape.organizations)
        for number in range(users[rank])
    ]


def _shares(total: int, parts: int) -> list[int]:
    """Cut a total into parts that fall as 1/rank, each at least 1."""
    weights = 1 / np.arange(1, parts + 1)
    bounds = np.floor(np.cumsum(weights / weights.sum()) * (total - parts) + 1e-9).astype(int)
    return [int(share) + 1 for share in np.diff(bounds, prepend=0)]
