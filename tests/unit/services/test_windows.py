"""Windows against the calendar of the standard library."""

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from services.windows import (
    DAY_MS,
    EPOCH,
    HOUR_MS,
    day_of,
    day_of_month,
    first_day_of_month,
    hour_of,
    iso_monday_of,
    month_of_day,
    rfc3339,
    to_datetime,
    to_ms,
)

MOMENTS = st.datetimes(timezones=st.just(UTC))
DATES = st.dates()


def number_of(day: date) -> int:
    return (day - date(1970, 1, 1)).days


@given(MOMENTS)
@example(datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC))
@example(datetime(1, 1, 1, tzinfo=UTC))
def test_an_instant_lies_in_its_hour_and_day_half_open(moment: datetime) -> None:
    instant_ms = to_ms(moment)
    assert hour_of(instant_ms) * HOUR_MS <= instant_ms < (hour_of(instant_ms) + 1) * HOUR_MS
    assert day_of(instant_ms) * DAY_MS <= instant_ms < (day_of(instant_ms) + 1) * DAY_MS
    assert day_of(instant_ms) == number_of(moment.date())
    assert hour_of(instant_ms) - 24 * day_of(instant_ms) == moment.hour


@given(MOMENTS)
def test_an_instant_is_rounded_down_to_milliseconds_and_comes_back(moment: datetime) -> None:
    back = to_datetime(to_ms(moment))
    assert timedelta(0) <= moment - back < timedelta(milliseconds=1)
    assert to_ms(back) == to_ms(moment)


def test_an_instant_with_an_offset_is_the_same_instant() -> None:
    there = datetime(2026, 3, 1, 1, 30, tzinfo=timezone(timedelta(hours=2)))
    assert rfc3339(to_ms(there)) == "2026-02-28T23:30:00Z"


@given(st.integers(to_ms(datetime(1, 1, 1, tzinfo=UTC)), to_ms(datetime(9999, 12, 31, tzinfo=UTC))))
def test_rfc3339_reads_back_as_the_same_instant(instant_ms: int) -> None:
    text = rfc3339(instant_ms)
    assert text.endswith("Z")
    assert to_ms(datetime.fromisoformat(text)) == instant_ms
    assert ("." in text) == (instant_ms % 1000 != 0)


def test_an_instant_outside_the_calendar_is_an_overflow() -> None:
    with pytest.raises(OverflowError):
        to_datetime(10**18)


@given(DATES)
@example(date(2024, 2, 29))
@example(date(1900, 2, 28))
@example(date(1969, 12, 31))
@example(date(1, 1, 1))
@example(date(9999, 12, 31))
def test_months_and_places_in_them_are_the_calendars(day: date) -> None:
    month = month_of_day(number_of(day))
    assert month == (day.year - 1970) * 12 + day.month - 1
    assert first_day_of_month(month) == number_of(day.replace(day=1))
    assert day_of_month(number_of(day)) == day.day - 1
    assert first_day_of_month(month) + day_of_month(number_of(day)) == number_of(day)


@pytest.mark.parametrize(
    ("month", "first"),
    [
        (0, date(1970, 1, 1)),
        (-1, date(1969, 12, 1)),
        (-12, date(1969, 1, 1)),
        (649, date(2024, 2, 1)),
        (650, date(2024, 3, 1)),
    ],
)
def test_months_before_and_after_the_epoch_begin_on_their_first(month: int, first: date) -> None:
    assert first_day_of_month(month) == number_of(first)


@given(DATES.filter(lambda day: day > date(1, 1, 7)))
@example(date(1970, 1, 1))
@example(date(1969, 12, 28))
@example(date(2021, 1, 3))
def test_weeks_begin_on_iso_mondays(day: date) -> None:
    monday = iso_monday_of(number_of(day))
    assert EPOCH.date() + timedelta(days=monday) == day - timedelta(days=day.isoweekday() - 1)
    assert 0 <= number_of(day) - monday < 7
