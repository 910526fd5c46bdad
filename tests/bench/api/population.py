"""Who is in the store, and when they used something."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Final

from services.simulated_population import SHAPES, Member, Profile, members
from services.windows import DAY_MS

ORGANIZATIONS: Final = 24
TEAMS: Final = 240
USERS: Final = 10_000
DAYS: Final = 400

_SHAPE: Final = replace(
    SHAPES[Profile.BENCH],
    organizations=tuple(f"org-{rank:02d}" for rank in range(1, ORGANIZATIONS + 1)),
    teams=TEAMS,
    users=USERS,
)


@cache
def everybody() -> tuple[Member, ...]:
    """Return every user, the largest organization first."""
    return tuple(members(_SHAPE))


def organizations() -> Sequence[str]:
    return _SHAPE.organizations


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the operations ask for: the largest organization, its largest team, its first user, and the days.

    Attributes:
        end_ms: the last midnight; the usage goes on after it.
    """

    organization: str
    team: str
    user: str
    end_ms: int

    def days_before(self, days: int) -> int:
        """Return the midnight so many days before the end, in milliseconds."""
        return self.end_ms - days * DAY_MS


def asked_at(now_ms: int) -> Asked:
    first = everybody()[0]
    teams = Counter(each.team for each in everybody() if each.organization == first.organization)
    team = max(teams, key=lambda each: teams[each])
    assert team is not None
    return Asked(organization=first.organization, team=team, user=first.user, end_ms=now_ms // DAY_MS * DAY_MS)
