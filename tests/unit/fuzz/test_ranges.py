import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from query_api.ranges import GRANULARITY_OF, BadRange, kept_at, parse_range, plan_blocks
from services.settings import EventSettings
from services.windows import DAY_MS, HOUR_MS
from tests.fuzz.ranges import Range, edge_range, valid_range

NOW_MS = 497_000 * HOUR_MS + 123
# Ranges are made for the day's start, and a run begun at its end lasts into the next day.
LATER_MS = NOW_MS + DAY_MS * 3 // 2


def plan(given_range: Range, now_ms: int) -> int:
    """Return how many blocks the API would answer with."""
    kept = kept_at(now_ms, keep_hours_s=EventSettings().keep_hours, keep_days_s=EventSettings().keep_days)
    word = next(word for word in GRANULARITY_OF if word == given_range.granularity)
    return len(plan_blocks(parse_range(given_range.from_, given_range.to, word), kept, now_ms))


@given(st.integers(), st.integers(NOW_MS, LATER_MS))
def test_a_valid_range_is_answered_with_blocks_while_a_run_lasts(seed: int, now_ms: int) -> None:
    assert plan(valid_range(random.Random(seed), NOW_MS), now_ms) >= 1


def test_ranges_at_the_edge_lie_on_both_sides_of_every_rule() -> None:
    refusals, answered = set(), 0
    for seed in range(2_000):
        try:
            answered += plan(edge_range(random.Random(seed), NOW_MS), NOW_MS) >= 0
        except BadRange as refused:
            refusals.add(refused.sentence.partition(",")[0])
    assert answered > 200
    assert refusals >= {
        "to must be later than from: the range is half-open",
        "an hourly range is at most 31 days long",
        "a daily range touches at most 400 days",
        "a range touches at most 2192 days",
        "the range begins before the hours that are kept",
        "the range begins before the days that are kept",
    }


@pytest.mark.parametrize("seed", range(3))
def test_a_seed_gives_the_same_range_again(seed: int) -> None:
    assert valid_range(random.Random(seed), NOW_MS) == valid_range(random.Random(seed), NOW_MS)
