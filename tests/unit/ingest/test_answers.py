"""The time up to which a source is read to its end never runs ahead of what the broker's answers can vouch for."""

from hypothesis import given
from hypothesis import strategies as st

from ingest.answers import Answers

SKEW_MS = 2_000


def test_one_answer_vouches_for_nothing() -> None:
    answers: Answers[str] = Answers(SKEW_MS)
    assert answers.covered_ms("source", 50_000, 50_000) is None


def test_answers_in_a_steady_rhythm_cover_up_to_the_skew_before_the_newest() -> None:
    answers: Answers[str] = Answers(SKEW_MS)
    answers.covered_ms("source", 50_000, 50_000)
    assert answers.covered_ms("source", 50_500, 50_600) == 48_500


def test_an_answer_that_lay_unread_while_the_process_was_stopped_covers_no_more_than_the_one_before() -> None:
    answers: Answers[str] = Answers(SKEW_MS)
    answers.covered_ms("source", 49_500, 49_500)
    answers.covered_ms("source", 50_000, 50_000)
    covered = answers.covered_ms("source", 80_000, 80_000)
    assert covered is not None
    assert covered < 50_000


def test_the_same_answer_seen_again_says_nothing_new() -> None:
    answers: Answers[str] = Answers(SKEW_MS)
    answers.covered_ms("source", 49_500, 49_500)
    answers.covered_ms("source", 50_000, 50_000)
    assert answers.covered_ms("source", 50_000, 90_000) == 48_000


def test_sources_are_told_apart() -> None:
    answers: Answers[str] = Answers(SKEW_MS)
    answers.covered_ms("a", 50_000, 50_000)
    assert answers.covered_ms("b", 50_500, 50_500) is None


def test_a_clock_that_was_set_back_takes_the_claim_with_it() -> None:
    answers: Answers[str] = Answers(SKEW_MS)
    answers.covered_ms("source", 50_000, 50_000)
    assert answers.covered_ms("source", 50_500, 20_000) == 18_000


@given(st.lists(st.tuples(st.integers(0, 40_000), st.integers(0, 40_000)), min_size=1, max_size=12))
def test_whatever_the_delays_the_claim_never_passes_the_moment_at_which_the_broker_looked(
    steps: list[tuple[int, int]],
) -> None:
    answers: Answers[str] = Answers(SKEW_MS)
    now_ms = 1_000_000
    for until_the_broker_looks, until_the_answer_is_read in steps:
        looked_ms = now_ms + until_the_broker_looks
        now_ms = looked_ms + until_the_answer_is_read
        covered = answers.covered_ms("source", now_ms, now_ms)
        assert covered is None or covered <= looked_ms - SKEW_MS // 2
