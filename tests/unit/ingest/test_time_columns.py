"""Times read many at once are those of the strict reader, and what is left out is left to it."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.time_columns import read_times
from services.event_rules import WrongTime, read_time_ms


def written(moment: datetime, decimals: int) -> str:
    text = moment.strftime("%Y-%m-%dT%H:%M:%S").rjust(19, "0")
    return f"{text}.{moment.microsecond:06}000"[: 20 + decimals] + "Z" if decimals else f"{text}Z"


@given(st.lists(st.datetimes(timezones=st.just(UTC)), max_size=20), st.integers(0, 9))
def test_good_times_of_one_form_are_read(moments: list[datetime], decimals: int) -> None:
    texts = [written(moment, decimals) for moment in moments]
    times, read = read_times(texts)
    assert read.all()
    assert times.tolist() == [read_time_ms(text) for text in texts]


@given(st.lists(st.from_regex(r"\A[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{3})?Z\Z"), max_size=20))
def test_what_is_read_is_what_the_strict_reader_reads(texts: list[str]) -> None:
    times, read = read_times(texts)
    for text, time_ms, is_read in zip(texts, times.tolist(), read.tolist(), strict=True):
        if is_read:
            assert time_ms == read_time_ms(text)
        elif len(set(map(len, texts))) == 1:
            with pytest.raises(WrongTime):
                read_time_ms(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-08-22T08:00:00",
        "2026-08-22T08:00:00.Z",
        "2026-08-22t08:00:00Z",
        "2026-08-22T08:00:00z",
        "2026-08-22 08:00:00Z",
        "2026/08/22T08:00:00Z",
        "2026-08-22T08:00:00+02:00",
        "2026-08-22T08:00:0OZ",
        "\uff12026-08-22T08:00:00Z",
        "0000-08-22T08:00:00Z",
        "2026-00-22T08:00:00Z",
        "2026-13-22T08:00:00Z",
        "2026-02-29T08:00:00Z",
        "2100-02-29T08:00:00Z",
        "2026-08-00T08:00:00Z",
        "2026-08-22T24:00:00Z",
        "2026-08-22T08:60:00Z",
        "2026-08-22T08:00:60Z",
        "2026-08-22T08:00:00,250Z",
        f"2026-08-22T08:00:00.{'0' * 40}Z",
    ],
)
def test_everything_else_is_left_out(text: str) -> None:
    good = written(datetime(2026, 8, 22, tzinfo=UTC) + timedelta(hours=8), max(len(text) - 21, 0))
    for texts in ([text], [text, good], [good, text]):
        times, read = read_times(texts)
        assert not read[texts.index(text)]
        assert times[texts.index(text)] == 0


def test_no_times_are_no_times() -> None:
    times, read = read_times([])
    assert (len(times), len(read)) == (0, 0)
