import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.dead_letters import Reason, dead_letter_headers, original_headers
from services.replays import (
    NOTE,
    NOTE_OF_REPLAY,
    LetterId,
    Replays,
    is_note,
    notes_of,
    read_descent,
    read_letter_id,
    read_note,
    replay_headers,
)

pytestmark = pytest.mark.unit

OWN = [("trace", b"\x00\xff"), ("ce_id", b"e-1")]


def refused(headers: list[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
    return dead_letter_headers(headers, Reason.NEGATIVE, "data.lines", "usage.events", 3, 12, 7)


@given(st.integers(0, 10**9 - 1), st.integers(0, 10**18 - 1))
def test_an_id_is_read_back(partition: int, offset: int) -> None:
    assert read_letter_id(str(LetterId(partition, offset))) == LetterId(partition, offset)


@pytest.mark.parametrize("text", ["", "1", "1:", ":1", "-1:2", "1:2:3", "1:x", " 1:2", "1:²"])
def test_what_is_no_id_is_refused(text: str) -> None:
    assert read_letter_id(text) is None


def test_a_record_that_comes_back_again_and_again_names_the_first_letter_and_the_last_in_two_headers() -> None:
    first, second, third = LetterId(0, 5), LetterId(2, 9), LetterId(1, 1)
    headers = refused(replay_headers(original_headers(refused(OWN)), first, None, "run1"))
    descent = read_descent(headers)
    assert descent is not None
    assert (descent.first, descent.last, descent.run) == (first, first, "run1")
    for letter in (second, third):
        headers = refused(replay_headers(headers, letter, descent, "run2"))
        descent = read_descent(headers)
        assert descent is not None
        assert (descent.first, descent.last, descent.run) == (first, letter, "run2")
    assert [name for name, _ in headers].count("tidemark-replayed") == 2
    assert original_headers(headers) == OWN


def test_a_record_that_was_never_published_again_has_no_descent() -> None:
    assert read_descent(refused(OWN)) is None
    assert read_descent([("tidemark-replayed", b"nonsense")]) is None


def test_notes_lie_in_their_letters_own_partitions_and_are_read_back() -> None:
    letters = [LetterId(1, 8), LetterId(0, 4), LetterId(1, 2)]
    replays = Replays()
    for partition, value, headers in notes_of(letters, at_ms=17, edited=True, run="r"):
        assert is_note(headers)
        note = read_note(value)
        assert note is not None
        replays.add(partition, note)
    assert len(replays) == 3
    for letter in letters:
        note = replays.of(letter)
        assert note is not None
        assert (note.at_ms, note.edited, note.run) == (17, True, "r")
    assert replays.of(LetterId(0, 2)) is None


def test_a_refused_record_that_came_with_the_header_of_a_note_is_no_note() -> None:
    forged = [(NOTE, NOTE_OF_REPLAY)]
    assert is_note(forged)
    assert not is_note(refused(forged))
    assert read_note(b"what a newer release says") is None
    assert read_note(None) is None
