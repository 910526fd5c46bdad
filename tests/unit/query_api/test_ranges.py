import re
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from query_api.ranges import (
    DAYS_MAX,
    AskedRange,
    BadRange,
    Granularity,
    Kept,
    PlannedBlock,
    kept_at,
    parse_instant,
    parse_range,
    plan_blocks,
    runs_of,
)
from services.windows import DAY_MS, HOUR_MS, Window, rfc3339, to_ms

EVERYTHING = Kept(first_hour=None, first_day=None)
FAR_FUTURE_MS = to_ms(datetime(9998, 1, 1, tzinfo=UTC))


def at(text: str) -> int:
    return parse_instant("from", text, up=False)


def plan(
    start: str, end: str, granularity: Granularity, *, kept: Kept = EVERYTHING, now_ms: int = FAR_FUTURE_MS
) -> list[tuple[str, str]]:
    asked = AskedRange(from_ms=at(start), to_ms=parse_instant("to", end, up=True), granularity=granularity)
    return [(rfc3339(block.start_ms), rfc3339(block.end_ms)) for block in plan_blocks(asked, kept, now_ms)]


@pytest.mark.parametrize(
    "text",
    [
        "2026-08-22T08:00:00Z",
        "2026-08-22t08:00:00z",
        "2026-08-22T10:00:00+02:00",
        "2026-08-22T02:30:00-05:30",
        "2026-08-22T08:00:00.000Z",
        "2026-08-22T08:00:00-00:00",
    ],
)
def test_every_way_to_write_an_instant_is_the_same_instant(text: str) -> None:
    assert at(text) == to_ms(datetime(2026, 8, 22, 8, tzinfo=UTC))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("2026-08-22T10:00:00 02:00", "write + as %2B"),
        ("2026-08-22T08:00:00", "offset"),
        ("2026-08-22", "RFC 3339"),
        ("2026-08-22 08:00:00Z", "RFC 3339"),
        ("1755849600", "RFC 3339"),
        ("", "RFC 3339"),
        ("2026-02-29T08:00:00Z", "no such moment"),
        ("2026-08-22T24:00:00Z", "no such moment"),
        ("2026-08-22T08:00:60Z", "no such moment"),
        ("2026-08-22T08:00:00+24:00", "no such moment"),
        ("2026-08-22T08:00:00+05:60", "no such moment"),
        ("0001-01-01T00:00:00Z", "must be from 0002"),
        ("9999-12-31T23:59:59Z", "before 9999"),
        ("٢٠٢٦-08-22T08:00:00Z", "RFC 3339"),
        ("2026-08-22T08:00:00Z\n", "RFC 3339"),
    ],
)
def test_what_is_no_instant_is_refused_with_the_reason(text: str, why: str) -> None:
    with pytest.raises(BadRange, match=re.escape(why)) as refused:
        at(text)
    assert refused.value.parameter == "from"


def test_parts_of_a_millisecond_widen_the_range() -> None:
    whole = at("2026-08-22T08:00:00Z")
    assert at("2026-08-22T08:00:00.0009Z") == whole
    assert parse_instant("to", "2026-08-22T08:00:00.0001Z", up=True) == whole + 1
    assert parse_instant("to", "2026-08-22T08:00:00.000000Z", up=True) == whole


@pytest.mark.parametrize("end", ["2026-08-22T08:00:00Z", "2026-08-22T07:59:59Z", "2026-08-22T10:00:00+02:00"])
def test_an_empty_range_is_refused(end: str) -> None:
    with pytest.raises(BadRange, match="later than from"):
        parse_range("2026-08-22T08:00:00Z", end, "daily")


def test_synonyms_are_the_contracts_words() -> None:
    ends = ("2026-08-22T08:00:00Z", "2026-08-23T08:00:00Z")
    assert parse_range(*ends, "day").granularity is Granularity.DAILY
    assert parse_range(*ends, "week").granularity is Granularity.WEEKLY
    assert parse_range(*ends, "month").granularity is Granularity.MONTHLY
    assert parse_range(*ends, "hour").granularity is Granularity.HOURLY


def test_days_are_cut_at_midnight_and_edges_widened_to_whole_hours() -> None:
    assert plan("2026-08-21T22:40:00Z", "2026-08-23T01:10:00Z", Granularity.DAILY) == [
        ("2026-08-21T22:00:00Z", "2026-08-22T00:00:00Z"),
        ("2026-08-22T00:00:00Z", "2026-08-23T00:00:00Z"),
        ("2026-08-23T00:00:00Z", "2026-08-23T02:00:00Z"),
    ]


def test_edges_whose_hours_are_gone_are_widened_to_whole_days() -> None:
    kept = Kept(first_hour=at("2026-08-21T23:00:00Z") // HOUR_MS, first_day=0)
    assert plan("2026-08-21T22:40:00Z", "2026-08-23T01:10:00Z", Granularity.ALL, kept=kept) == [
        ("2026-08-21T00:00:00Z", "2026-08-23T02:00:00Z")
    ]
    assert plan("2026-08-21T23:40:00Z", "2026-08-23T01:10:00Z", Granularity.ALL, kept=kept) == [
        ("2026-08-21T23:00:00Z", "2026-08-23T02:00:00Z")
    ]


def test_a_last_day_whose_hours_are_partly_gone_is_summed_whole() -> None:
    kept = Kept(first_hour=at("2026-08-21T05:00:00Z") // HOUR_MS, first_day=0)
    assert plan("2026-08-20T00:00:00Z", "2026-08-21T07:10:00Z", Granularity.ALL, kept=kept) == [
        ("2026-08-20T00:00:00Z", "2026-08-22T00:00:00Z")
    ]
    assert plan("2026-08-21T05:00:00Z", "2026-08-21T07:10:00Z", Granularity.ALL, kept=kept) == [
        ("2026-08-21T05:00:00Z", "2026-08-21T08:00:00Z")
    ]


def test_weeks_begin_on_monday_and_are_clipped_to_the_range() -> None:
    assert plan("2025-12-26T00:00:00Z", "2026-01-07T00:00:00Z", Granularity.WEEKLY) == [
        ("2025-12-26T00:00:00Z", "2025-12-29T00:00:00Z"),
        ("2025-12-29T00:00:00Z", "2026-01-05T00:00:00Z"),
        ("2026-01-05T00:00:00Z", "2026-01-07T00:00:00Z"),
    ]


def test_months_are_calendar_months_clipped_to_the_range() -> None:
    assert plan("2026-01-31T12:00:00Z", "2026-03-02T00:00:00Z", Granularity.MONTHLY) == [
        ("2026-01-31T12:00:00Z", "2026-02-01T00:00:00Z"),
        ("2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z"),
        ("2026-03-01T00:00:00Z", "2026-03-02T00:00:00Z"),
    ]


def test_blocks_that_begin_after_now_are_left_out_and_the_running_one_is_whole() -> None:
    now_ms = at("2026-08-22T09:00:00Z")
    assert plan("2026-08-21T00:00:00Z", "2026-08-25T00:00:00Z", Granularity.DAILY, now_ms=now_ms) == [
        ("2026-08-21T00:00:00Z", "2026-08-22T00:00:00Z"),
        ("2026-08-22T00:00:00Z", "2026-08-23T00:00:00Z"),
    ]
    midnight_ms = at("2026-08-22T00:00:00Z")
    assert len(plan("2026-08-21T00:00:00Z", "2026-08-25T00:00:00Z", Granularity.DAILY, now_ms=midnight_ms)) == 2
    assert plan("2027-08-21T00:00:00Z", "2027-08-25T00:00:00Z", Granularity.ALL, now_ms=now_ms) == []


@pytest.mark.parametrize(
    ("granularity", "longest", "too_long"),
    [
        (Granularity.HOURLY, 31 * DAY_MS, 31 * DAY_MS + 1),
        (Granularity.DAILY, 400 * DAY_MS, 400 * DAY_MS + 1),
        (Granularity.WEEKLY, DAYS_MAX * DAY_MS, DAYS_MAX * DAY_MS + 1),
        (Granularity.MONTHLY, DAYS_MAX * DAY_MS, DAYS_MAX * DAY_MS + 1),
        (Granularity.ALL, DAYS_MAX * DAY_MS, DAYS_MAX * DAY_MS + 1),
    ],
)
def test_the_length_of_a_range_is_bounded(granularity: Granularity, longest: int, too_long: int) -> None:
    assert plan_blocks(AskedRange(from_ms=0, to_ms=longest, granularity=granularity), EVERYTHING, FAR_FUTURE_MS)
    with pytest.raises(BadRange, match="at most") as refused:
        plan_blocks(AskedRange(from_ms=0, to_ms=too_long, granularity=granularity), EVERYTHING, FAR_FUTURE_MS)
    assert "maximumDays" in refused.value.details


def test_a_range_that_begins_before_what_is_kept_is_refused_with_the_earliest_instant() -> None:
    kept = kept_at(at("2026-08-22T09:30:00Z"), keep_hours_s=2 * 3600, keep_days_s=2 * 86_400)
    assert kept == Kept(
        first_hour=at("2026-08-22T07:00:00Z") // HOUR_MS, first_day=at("2026-08-20T00:00:00Z") // DAY_MS
    )
    with pytest.raises(BadRange) as hours:
        plan("2026-08-22T06:59:00Z", "2026-08-22T09:00:00Z", Granularity.HOURLY, kept=kept)
    assert hours.value.details == {"earliest": "2026-08-22T07:00:00Z"}
    with pytest.raises(BadRange) as days:
        plan("2026-08-19T23:59:59Z", "2026-08-22T09:00:00Z", Granularity.WEEKLY, kept=kept)
    assert days.value.details == {"earliest": "2026-08-20T00:00:00Z"}
    assert plan("2026-08-22T07:00:00Z", "2026-08-22T08:00:00Z", Granularity.HOURLY, kept=kept)
    assert plan("2026-08-20T00:00:00Z", "2026-08-22T09:00:00Z", Granularity.WEEKLY, kept=kept)


def test_a_window_about_to_expire_counts_as_gone() -> None:
    def first_hour(now: str) -> int | None:
        return kept_at(at(now), keep_hours_s=3600, keep_days_s=None).first_hour

    assert first_hour("2026-08-22T09:59:54Z") == at("2026-08-22T08:00:00Z") // HOUR_MS
    assert first_hour("2026-08-22T09:59:55Z") == at("2026-08-22T09:00:00Z") // HOUR_MS


def test_the_current_windows_are_kept_however_short_the_keep_time_is() -> None:
    now_ms = at("2026-08-22T09:59:59Z")
    assert kept_at(now_ms, keep_hours_s=0, keep_days_s=0) == Kept(
        first_hour=now_ms // HOUR_MS, first_day=now_ms // DAY_MS
    )
    assert kept_at(now_ms, keep_hours_s=None, keep_days_s=None) == EVERYTHING


@given(
    start=st.integers(-800_000, 800_000),
    hours=st.integers(1, 700),
    granularity=st.sampled_from(Granularity),
    first_hour=st.none() | st.integers(-800_000, 800_000),
)
def test_blocks_cover_the_range_without_gap_and_windows_cover_each_block_once(
    start: int, hours: int, granularity: Granularity, first_hour: int | None
) -> None:
    asked = AskedRange(from_ms=start * HOUR_MS + 1, to_ms=(start + hours) * HOUR_MS, granularity=granularity)
    kept = Kept(first_hour=None if granularity is Granularity.HOURLY else first_hour, first_day=None)
    blocks = plan_blocks(asked, kept, FAR_FUTURE_MS)
    assert blocks[0].start_ms <= asked.from_ms
    assert blocks[-1].end_ms >= asked.to_ms
    assert all(one.end_hour == two.start_hour for one, two in pairwise(blocks))
    for block in blocks:
        assert [hour for window in windows_of(block) for hour in hours_of(*window)] == list(
            range(block.start_hour, block.end_hour)
        )
        assert all(kept.holds_hour(number) for window, number in windows_of(block) if window is Window.HOUR)


@given(start=st.integers(-800_000, 800_000), hours=st.integers(1, 700))
def test_as_few_windows_as_possible_are_read(start: int, hours: int) -> None:
    windows = windows_of(PlannedBlock(start_hour=start, end_hour=start + hours))
    assert sum(1 for window, _ in windows if window is Window.HOUR) <= 46


def windows_of(block: PlannedBlock) -> list[tuple[Window, int]]:
    return [(window, number) for window, numbers in runs_of(block) for number in numbers]


def hours_of(window: Window, number: int) -> range:
    return range(number, number + 1) if window is Window.HOUR else range(number * 24, number * 24 + 24)
