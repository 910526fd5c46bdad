"""Ranges of the usage calls: such as every rule allows, and such as lie at a rule's edge.

The rules are written down here a second time, from the API's description and not from its code.
"""

import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Final

HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS

# Hours are kept 45 days and days 761. `now_ms` may be a day old, and a run takes its time: two days are left out.
HOURS_KEPT: Final = 43
DAYS_KEPT: Final = 759
HOURLY_DAYS_MAX: Final = 31
DAILY_DAYS_MAX: Final = 400
DAYS_MAX: Final = 2_192

_HOURLY: Final = ("hourly", "hour")
_DAILY: Final = ("daily", "day")
_WIDE: Final = ("all", "weekly", "week", "monthly", "month")
_OFFSETS_MIN: Final = (120, -330, 845, -720)
_LONG_IS_RARE: Final = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """The three parameters of a usage call that belong together, as they are sent."""

    from_: str
    to: str
    granularity: str

    def parameters(self) -> dict[str, str]:
        return {"from": self.from_, "to": self.to, "granularity": self.granularity}


def valid_range(rng: random.Random, now_ms: int) -> Range:
    """Return a range that must be answered; most are short, some as long as allowed."""
    granularity = rng.choice((*_HOURLY, *_DAILY, *_WIDE))
    kept, longest = _limits(granularity)
    days = longest if rng.randrange(_LONG_IS_RARE) == 0 else rng.randint(1, min(longest, 40))
    start_ms = now_ms - rng.randrange(kept * DAY_MS)
    # A day less than the longest: a range that starts and ends within days touches one more.
    length_ms = rng.randrange(1, days * DAY_MS) if days < longest else (longest - 1) * DAY_MS
    return _written(rng, start_ms, start_ms + length_ms, granularity)


def edge_range(rng: random.Random, now_ms: int) -> Range:
    """Return a range at the edge of a rule, on either side of it; or one turned round, or empty."""
    granularity = rng.choice((*_HOURLY, *_DAILY, *_WIDE))
    kept, longest = _limits(granularity)
    a_little_ms = rng.choice((-DAY_MS, -HOUR_MS, -1, 0, 1, HOUR_MS, DAY_MS))
    start_ms = now_ms - rng.choice((0, 1, kept + 1, kept + 2)) * DAY_MS + a_little_ms
    length_ms = rng.choice((0, -1, 1, -DAY_MS, longest * DAY_MS, (longest + 1) * DAY_MS)) + rng.choice((0, a_little_ms))
    return _written(rng, start_ms, start_ms + length_ms, granularity)


def _limits(granularity: str) -> tuple[int, int]:
    """Return how many days back such a range may begin, and how many days it may touch."""
    if granularity in _HOURLY:
        return HOURS_KEPT, HOURLY_DAYS_MAX
    return DAYS_KEPT, DAILY_DAYS_MAX if granularity in _DAILY else DAYS_MAX


def _written(rng: random.Random, start_ms: int, end_ms: int, granularity: str) -> Range:
    return Range(from_=_instant(rng, start_ms), to=_instant(rng, end_ms), granularity=granularity)


def _instant(rng: random.Random, instant_ms: int) -> str:
    """Write an instant in one of RFC 3339's ways."""
    moment = datetime.fromtimestamp(instant_ms // 1000, UTC) + timedelta(milliseconds=instant_ms % 1000)
    match rng.randrange(4):
        case 0:
            return moment.astimezone(timezone(timedelta(minutes=rng.choice(_OFFSETS_MIN)))).isoformat()
        case 1:
            return moment.isoformat(timespec="microseconds").replace("+00:00", "z").replace("T", "t")
        case _:
            return moment.isoformat().replace("+00:00", "Z")
