import re
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from query_api.ranges import BadRange, Kept, runs_of
from query_api.snapshot import OrganizationSnapshot
from query_api.utilization import MONTHS_BACK_MAX, asked_months, block_of_month, utilization_months
from services.windows import DAY_MS, Window, first_day_of_month, month_of_day, rfc3339, to_ms

EVERYTHING = Kept(first_hour=None, first_day=None)
NOW_MS = to_ms(datetime(2026, 11, 25, 18, tzinfo=UTC))
CURRENT = (2026 - 1970) * 12 + 10


def kept_from(year: int, month: int, day: int) -> Kept:
    return Kept(first_hour=None, first_day=to_ms(datetime(year, month, day, tzinfo=UTC)) // DAY_MS)


def test_without_a_start_it_is_twelve_months_the_current_one_last() -> None:
    assert asked_months(None, EVERYTHING, NOW_MS) == range(CURRENT - 11, CURRENT + 1)


def test_without_a_start_months_that_are_not_wholly_kept_are_left_out() -> None:
    assert asked_months(None, kept_from(2026, 9, 1), NOW_MS) == range(CURRENT - 2, CURRENT + 1)
    assert asked_months(None, kept_from(2026, 9, 2), NOW_MS) == range(CURRENT - 1, CURRENT + 1)


def test_a_month_that_is_not_over_is_left_out_when_its_beginning_is_gone() -> None:
    assert list(asked_months(None, kept_from(2026, 11, 2), NOW_MS)) == []


@pytest.mark.parametrize(
    ("start", "count"), [("2026-11", 1), ("2026-01", 11), ("2025-12", 12), ("2020-11", MONTHS_BACK_MAX + 1)]
)
def test_a_start_asks_for_every_month_from_it_on(start: str, count: int) -> None:
    assert asked_months(start, EVERYTHING, NOW_MS) == range(CURRENT - count + 1, CURRENT + 1)


@pytest.mark.parametrize(
    ("start", "why", "details"),
    [
        ("2026-12", "in the future", {}),
        ("9999-12", "in the future", {}),
        ("2026-00", "from 01", {}),
        ("2026-13", "from 01", {}),
        ("2026-1", "from 01", {}),
        ("2026-011", "from 01", {}),
        ("2026-01\n", "from 01", {}),
        ("202\u0666-01", "from 01", {}),
        ("", "from 01", {}),
        ("2020-10", "more than 72 months back", {"earliest": "2024-11"}),
        ("0000-01", "more than 72 months back", {"earliest": "2024-11"}),
        ("2024-10", "not kept", {"earliest": "2024-11"}),
    ],
)
def test_a_start_that_cannot_be_answered_is_refused(start: str, why: str, details: dict[str, str]) -> None:
    with pytest.raises(BadRange, match=re.escape(why)) as refused:
        asked_months(start, kept_from(2024, 10, 2), NOW_MS)
    assert (refused.value.parameter, refused.value.details) == ("startDate", details)


def test_further_back_than_is_kept_and_than_is_served_names_the_later_of_the_two() -> None:
    with pytest.raises(BadRange) as refused:
        asked_months("1999-01", EVERYTHING, NOW_MS)
    assert refused.value.details == {"earliest": "2020-11"}


@given(st.integers(0, 12 * 200))
def test_a_month_is_made_of_all_its_days_and_no_hours(month: int) -> None:
    [(kind, days)] = runs_of(block_of_month(month))
    assert kind is Window.DAY
    assert {month_of_day(day) for day in days} == {month}
    assert days.start == first_day_of_month(month)
    assert month_of_day(days[-1] + 1) == month + 1


@given(now_ms=st.integers(to_ms(datetime(1980, 1, 1, tzinfo=UTC)), to_ms(datetime(2100, 1, 1, tzinfo=UTC))))
def test_the_months_are_named_as_the_calendar_does_but_from_zero(now_ms: int) -> None:
    months = asked_months(None, EVERYTHING, now_ms)
    rows = utilization_months(months, OrganizationSnapshot(()), range(12))
    assert [f"{row.year}-{row.month + 1:02}" for row in rows] == [
        rfc3339(block_of_month(month).start_ms)[:7] for month in months
    ]
    assert (f"{rows[-1].year}-{rows[-1].month + 1:02}", rows[-1].active) == (rfc3339(now_ms)[:7], 11)
    assert asked_months(f"{rows[0].year}-{rows[0].month + 1:02}", EVERYTHING, now_ms) == months
