import json

import pytest

from services.supervisor import how_it_ended, last_words, pause_s

pytestmark = pytest.mark.unit


def test_pauses_double_up_to_half_a_minute() -> None:
    assert [pause_s(failures) for failures in range(8)] == [1, 1, 2, 4, 8, 16, 30, 30]
    assert pause_s(10_000) == 30


@pytest.mark.parametrize(
    ("code", "ending"),
    [
        (-9, "was killed by SIGKILL"),
        (-250, "was killed by signal 250"),
        (0, "ended"),
        (1, "failed with code 1: why"),
        (2, "has wrong settings: why"),
        (3, "refused to go on: why"),
    ],
)
def test_an_ending_is_told_with_the_last_words_of_who_chose_it(code: int, ending: str) -> None:
    assert how_it_ended(code, "why") == ending


def test_a_silent_ending_is_told_without_words() -> None:
    assert how_it_ended(3, "") == "refused to go on"


def test_the_last_words_of_a_log_line_are_its_event_and_the_end_of_its_traceback() -> None:
    line = json.dumps({"event": "role_failed", "exception": "Traceback …\n  File …\nKeyError: 'x'"})
    assert last_words(line) == "role_failed: KeyError: 'x'"
    assert last_words(json.dumps({"event": "log_diverged"})) == "log_diverged"


@pytest.mark.parametrize("line", ["topic usage.frames is missing", "[1]", "3", '{"a": 1}', "{"])
def test_the_last_words_of_any_other_line_are_the_line(line: str) -> None:
    assert last_words(line) == line
