import json

import pytest

from services.dead_letter_content import event_text, identity, is_same_identity, is_same_json, organization
from services.dead_letter_filter import LetterFilter, read_moment
from services.windows import HOUR_MS
from tests.support.dead_letters import BINARY, EVENT, HEADERS, letter

pytestmark = pytest.mark.unit

NOW_MS = 1_787_385_600_000


def test_an_event_is_compact_json_with_its_numbers_as_written_in_either_mode() -> None:
    assert event_text(b'{ "a" : 1.50,\n "b": 1e3 }', ()) == b'{"a":1.50,"b":1e3}'
    structured = event_text(BINARY, HEADERS)
    assert structured is not None
    assert json.loads(structured) == json.loads(EVENT)


@pytest.mark.parametrize(
    "value", [None, b"", b"[1]", b'{"a":1', b'{"a":1,"a":2}', b'{"a":NaN}', b'{"a":"\xff"}', b'{"a":"\\ud800"}']
)
def test_what_no_line_of_json_can_hold_is_no_event(value: bytes | None) -> None:
    assert event_text(value, ()) is None


def test_the_same_json_may_be_written_in_another_way_but_1_and_1_0_and_true_differ() -> None:
    assert is_same_json(b'{"a":"\\u00e9","b":1}', '{"b": 1, "a": "é"}'.encode())
    for one, other in ((b"1", b"1.0"), (b"1", b"true"), (b'{"a":0}', b'{"a":false}')):
        assert not is_same_json(one, other)


def test_an_identity_holds_what_the_record_says_in_a_form_that_the_contract_takes() -> None:
    whole = {"id": "e1", "source": "s", "organizationid": "acme", "time": "2026-08-22T08:00:00Z"}
    assert identity(EVENT, ()) == whole
    assert identity(BINARY, HEADERS) == whole
    for name, wrong in (("id", ""), ("source", "a\u0000"), ("organizationid", "a/b"), ("time", "yesterday"), ("id", 7)):
        changed = json.dumps(json.loads(EVENT) | {name: wrong}).encode()
        assert identity(changed, ()) == {key: text for key, text in whole.items() if key != name}
    twice = EVENT[:-1] + b',"id":"e2"}'
    assert "id" not in identity(twice, ())
    assert identity(EVENT[:-1], ()) == {}


def test_one_moment_may_be_written_with_two_offsets() -> None:
    assert is_same_identity("time", "2026-08-22T08:00:00Z", "2026-08-22T10:00:00.000+02:00")
    assert not is_same_identity("time", "2026-08-22T08:00:00Z", "2026-08-22T10:00:00Z")
    assert not is_same_identity("id", "a", None)


def test_an_organization_is_read_whatever_else_is_wrong_with_the_record() -> None:
    assert organization(EVENT, ()) == "acme"
    assert organization(BINARY, HEADERS) == "acme"
    assert organization(EVENT[: len(EVENT) - 10], ()) == "acme"
    assert organization(b"{}", ()) is None
    assert organization(None, ()) is None


def test_a_filter_takes_what_all_of_its_parts_take() -> None:
    one = letter(reason="negative", rejected_at_ms=100)
    assert LetterFilter().is_open
    assert LetterFilter().takes(one)
    assert LetterFilter(reasons=frozenset({"negative", "too_big"})).takes(one)
    assert not LetterFilter(reasons=frozenset({"too_big"})).takes(one)
    assert LetterFilter(since_ms=100, until_ms=101).takes(one)
    assert not LetterFilter(until_ms=100).takes(one)
    assert not LetterFilter(since_ms=101).takes(one)
    assert LetterFilter(organization="acme").takes(one)
    assert not LetterFilter(organization="other", since_ms=100).takes(one)


def test_a_moment_is_a_time_or_how_long_ago_it_was() -> None:
    assert read_moment("2026-08-22T10:00:00+02:00", NOW_MS) == NOW_MS
    assert read_moment("2h", NOW_MS) == NOW_MS - 2 * HOUR_MS
    for text in ("yesterday", "none", "2026-08-22", ""):
        with pytest.raises(ValueError, match="2026-08-22T08:00:00Z"):
            read_moment(text, NOW_MS)
