"""Which windows a request sums: parsing, limits, widening and cutting into blocks. Pure.

Ranges are half-open and in UTC. A range is widened outward to what can be summed: to whole hours where hours are
kept, else to whole days; each block says what it sums (design.md section 5, contract notes A05, A07, A08).
Edges are hour windows (`services.windows`).
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from itertools import pairwise
from typing import Final, Literal, NamedTuple

from services.event_rules import WrongTime, read_time_ms
from services.windows import (
    DAY_MS,
    HOUR_MS,
    HOURS_PER_DAY,
    Window,
    first_day_of_month,
    iso_monday_of,
    month_of_day,
    rfc3339,
    to_ms,
)

HOURLY_SPAN_MAX_MS: Final = 31 * DAY_MS
DAILY_BLOCKS_MAX: Final = 400
DAYS_MAX: Final = 2_192
"""Six years: with eight fields a day and the hours of two edges, one read stays below 20,000 fields."""

FIRST_MS: Final = to_ms(datetime(2, 1, 1, tzinfo=UTC))
END_MS: Final = to_ms(datetime(9999, 1, 1, tzinfo=UTC))
"""Widening a range of the calendar's first or last year would leave it."""

_KEPT_MARGIN_MS: Final = 5_000
"""Windows this close to their expiry count as gone: they may go between planning and reading."""

_BELOW_A_MILLISECOND: Final = re.compile(r"\.\d{3}\d*[1-9]", re.ASCII)
_SPACE_FOR_PLUS: Final = re.compile(r" \d\d:\d\d\Z", re.ASCII)


class Granularity(StrEnum):
    """Width of a block, in the contract's words; `hourly` is our addition."""

    ALL = "all"
    HOURLY = "hourly"
    DAILY = "daily"
    WEEKLY = "weekly"
    MONTHLY = "monthly"


GranularityWord = Literal["all", "daily", "weekly", "monthly", "hourly", "day", "week", "month", "hour"]

GRANULARITY_OF: Final[Mapping[GranularityWord, Granularity]] = {
    "all": Granularity.ALL,
    "hourly": Granularity.HOURLY,
    "hour": Granularity.HOURLY,
    "daily": Granularity.DAILY,
    "day": Granularity.DAILY,
    "weekly": Granularity.WEEKLY,
    "week": Granularity.WEEKLY,
    "monthly": Granularity.MONTHLY,
    "month": Granularity.MONTHLY,
}


class BadRange(ValueError):
    """A range that cannot be answered. `parameter` is the one to blame, `details` help a machine to ask again."""

    def __init__(self, parameter: str, sentence: str, **details: str | int) -> None:
        super().__init__(sentence)
        self.parameter = parameter
        self.sentence = sentence
        self.details = details


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedRange:
    """A parsed request: [from_ms, to_ms) in milliseconds since the epoch."""

    from_ms: int
    to_ms: int
    granularity: Granularity


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """The first hour and day window that are still kept; None when nothing expires."""

    first_hour: int | None
    first_day: int | None

    def holds_hour(self, hour: int) -> bool:
        return self.first_hour is None or hour >= self.first_hour


TEXTS_REMEMBERED: Final = 1_024
"""Ends of ranges as they were sent; those that were refused are not among them."""

RANGES_REMEMBERED: Final = 256
"""Ranges with their blocks and windows, at most 100 kB each: dashboards ask for the same ones all the time."""

WindowRun = tuple[Window, range]
"""Windows of one kind that follow each other."""


class PlannedBlock(NamedTuple):
    """One block of the answer: the hours [start_hour, end_hour)."""

    start_hour: int
    end_hour: int

    @property
    def start_ms(self) -> int:
        return self.start_hour * HOUR_MS

    @property
    def end_ms(self) -> int:
        return self.end_hour * HOUR_MS


def runs_of(block: PlannedBlock) -> tuple[WindowRun, ...]:
    """Return the windows that make a block up: whole days, and hours at edges that are no midnight."""
    start, end = block
    first_midnight, last_midnight = _up_to_day(start), _down_to_day(end)
    if first_midnight > last_midnight:
        return ((Window.HOUR, range(start, end)),)
    runs = (
        (Window.HOUR, range(start, first_midnight)),
        (Window.DAY, range(first_midnight // HOURS_PER_DAY, last_midnight // HOURS_PER_DAY)),
        (Window.HOUR, range(last_midnight, end)),
    )
    return tuple(run for run in runs if run[1])


@lru_cache(maxsize=TEXTS_REMEMBERED)
def parse_instant(parameter: str, text: str, *, up: bool) -> int:
    """Return an RFC 3339 date-time as milliseconds since the epoch.

    Args:
        up: whether parts of a millisecond are rounded up (an end) or down (a start).

    Raises:
        BadRange: it is not one, has no offset, or lies at the edge of the calendar.
    """
    try:
        instant_ms = read_time_ms(text)
    except WrongTime as error:
        raise BadRange(parameter, _why_no_instant(text, error)) from None
    if not FIRST_MS <= instant_ms < END_MS:
        raise BadRange(parameter, f"it must be from {rfc3339(FIRST_MS)} and before {rfc3339(END_MS)}")
    return instant_ms + int(up and _BELOW_A_MILLISECOND.search(text) is not None)


def parse_range(from_text: str, to_text: str, word: GranularityWord) -> AskedRange:
    """Return the asked range.

    Raises:
        BadRange: an end of it is malformed, or it is empty.
    """
    from_ms = parse_instant("from", from_text, up=False)
    to_ms_ = parse_instant("to", to_text, up=True)
    if from_ms >= to_ms_:
        raise BadRange("to", "to must be later than from: the range is half-open, [from, to)")
    return AskedRange(from_ms=from_ms, to_ms=to_ms_, granularity=GRANULARITY_OF[word])


def kept_at(now_ms: int, *, keep_hours_s: float | None, keep_days_s: float | None) -> Kept:
    """Return what is kept at an instant; a window is kept for so many seconds after its end, None for ever."""

    def first(keep_s: float | None, window_ms: int) -> int | None:
        if keep_s is None:
            return None
        oldest = (now_ms + _KEPT_MARGIN_MS - int(keep_s * 1000)) // window_ms
        return min(oldest, now_ms // window_ms)

    return Kept(first_hour=first(keep_hours_s, HOUR_MS), first_day=first(keep_days_s, DAY_MS))


def plan_blocks(asked: AskedRange, kept: Kept, now_ms: int) -> tuple[PlannedBlock, ...]:
    """Return the blocks of the answer, ascending and gapless; those that begin after `now_ms` are left out.

    Raises:
        BadRange: the range is too long for its granularity, or begins before what is kept.
    """
    start, end = _widened(asked, kept)
    _check_length(asked, days=_up_to_day(end) // HOURS_PER_DAY - start // HOURS_PER_DAY)
    _check_kept(asked.granularity, start, kept)
    return _cut(asked.granularity, start, end, min(end, now_ms // HOUR_MS))


def _why_no_instant(text: str, error: WrongTime) -> str:
    if _SPACE_FOR_PLUS.search(text):
        return "there is a space where the offset's + should be: write + as %2B in a URL, or use Z"
    return str(error)


def _down_to_day(hour: int) -> int:
    return hour - hour % HOURS_PER_DAY


def _up_to_day(hour: int) -> int:
    return hour + -hour % HOURS_PER_DAY


def _widened(asked: AskedRange, kept: Kept) -> tuple[int, int]:
    """Return the range in hours: outward to whole hours, and to whole days at an edge whose hours are not kept."""
    start = asked.from_ms // HOUR_MS
    end = -(-asked.to_ms // HOUR_MS)
    if asked.granularity is Granularity.HOURLY:
        return start, end
    if not kept.holds_hour(start):
        start = _down_to_day(start)
    if not kept.holds_hour(max(start, _down_to_day(end))):
        end = _up_to_day(end)
    return start, end


def _check_length(asked: AskedRange, *, days: int) -> None:
    match asked.granularity:
        case Granularity.HOURLY:
            if asked.to_ms - asked.from_ms > HOURLY_SPAN_MAX_MS:
                raise BadRange("to", "an hourly range is at most 31 days long", maximumDays=31)
        case Granularity.DAILY:
            if days > DAILY_BLOCKS_MAX:
                raise BadRange(
                    "to", f"a daily range touches at most {DAILY_BLOCKS_MAX} days", maximumDays=DAILY_BLOCKS_MAX
                )
        case _:
            if days > DAYS_MAX:
                raise BadRange("to", f"a range touches at most {DAYS_MAX} days", maximumDays=DAYS_MAX)


def _check_kept(granularity: Granularity, start: int, kept: Kept) -> None:
    if granularity is Granularity.HOURLY:
        if kept.first_hour is not None and start < kept.first_hour:
            raise _not_kept("hours", kept.first_hour * HOUR_MS)
    elif kept.first_day is not None and start // HOURS_PER_DAY < kept.first_day:
        raise _not_kept("days", kept.first_day * DAY_MS)


def _not_kept(windows: str, earliest_ms: int) -> BadRange:
    earliest = rfc3339(earliest_ms)
    return BadRange("from", f"the range begins before the {windows} that are kept, {earliest}", earliest=earliest)


@lru_cache(maxsize=RANGES_REMEMBERED)
def _cut(granularity: Granularity, start: int, end: int, last_start: int) -> tuple[PlannedBlock, ...]:
    edges = [start, *_inner_edges(granularity, start, end), end]
    return tuple(PlannedBlock(*hours) for hours in pairwise(edges) if hours[0] <= last_start)


def _inner_edges(granularity: Granularity, start: int, end: int) -> Iterable[int]:
    """Return where blocks meet, between start and end."""
    day = start // HOURS_PER_DAY
    match granularity:
        case Granularity.ALL:
            return ()
        case Granularity.HOURLY:
            return range(start + 1, end)
        case Granularity.DAILY:
            return range((day + 1) * HOURS_PER_DAY, end, HOURS_PER_DAY)
        case Granularity.WEEKLY:
            return range((iso_monday_of(day) + 7) * HOURS_PER_DAY, end, 7 * HOURS_PER_DAY)
        case Granularity.MONTHLY:
            last = month_of_day((end - 1) // HOURS_PER_DAY)
            return [first_day_of_month(month) * HOURS_PER_DAY for month in range(month_of_day(day) + 1, last + 1)]
