"""Hour and day windows: half-open UTC intervals [start, end), aligned, numbered by integers. Pure.

An hour window is the number of whole hours since 1970-01-01T00:00:00Z, a day window the number of whole days, a
month the number of whole calendar months since January 1970; all may be negative. Instants are integer milliseconds.
"""

from datetime import UTC, date, datetime, timedelta
from enum import Enum
from functools import lru_cache
from typing import Final

HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS
HOURS_PER_DAY: Final = 24
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_DATE: Final = date(1970, 1, 1)
INSTANTS_REMEMBERED: Final = 16_384
"""Texts of instants: mostly the same hours and days, written over and over."""

_MILLISECOND: Final = timedelta(milliseconds=1)


class Window(Enum):
    """A kind of window that counters are kept in; the value is its name in exports."""

    HOUR = "hour"
    DAY = "day"


def to_ms(moment: datetime) -> int:
    """Return an aware datetime as milliseconds since the epoch, rounded down."""
    return (moment - EPOCH) // _MILLISECOND


def to_datetime(instant_ms: int) -> datetime:
    """Return milliseconds since the epoch as an aware UTC datetime.

    Raises:
        OverflowError: outside the years 1 to 9999.
    """
    return EPOCH + timedelta(milliseconds=instant_ms)


@lru_cache(maxsize=INSTANTS_REMEMBERED)
def rfc3339(instant_ms: int) -> str:
    """Return an instant as RFC 3339 in UTC, whole seconds when it is one: `2026-08-22T08:00:00Z`."""
    moment = to_datetime(instant_ms)
    precision = "seconds" if instant_ms % 1000 == 0 else "milliseconds"
    return moment.isoformat(timespec=precision).replace("+00:00", "Z")


def hour_of(instant_ms: int) -> int:
    return instant_ms // HOUR_MS


def day_of(instant_ms: int) -> int:
    return instant_ms // DAY_MS


def month_of_day(day: int) -> int:
    moment = _EPOCH_DATE + timedelta(days=day)
    return (moment.year - 1970) * 12 + moment.month - 1


def first_day_of_month(month: int) -> int:
    return (date(1970 + month // 12, month % 12 + 1, 1) - _EPOCH_DATE).days


def day_of_month(day: int) -> int:
    """Return the place of a day in its month, from 0."""
    return (_EPOCH_DATE + timedelta(days=day)).day - 1


def iso_monday_of(day: int) -> int:
    """Return the day window of the Monday that begins the day's ISO week (1970-01-01 was a Thursday)."""
    return day - (day + 3) % 7
