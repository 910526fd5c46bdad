"""Durations: how they are read, what is none, and that one that is written reads the same."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.durations import parse_duration, write_duration

DAY_S = 86_400.0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("35d", 35 * DAY_S),
        ("12h", 43_200.0),
        (" 5 m ", 300.0),
        ("90s", 90.0),
        ("500ms", 0.5),
        ("90", 90.0),
        ("1.5h", 5_400.0),
        ("None", None),
    ],
)
def test_durations_are_read(text: str, seconds: float | None) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "d", "-5s", "5 s 3", "1e3s", "five", "5w"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="give a duration"):
        parse_duration(text)


@given(st.none() | st.floats(0, 1e12))
def test_a_duration_that_is_written_reads_the_same(seconds: float | None) -> None:
    assert parse_duration(write_duration(seconds)) == seconds
