import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.dead_letter_remedies import REMEDIES, remedy
from services.dead_letter_view import MARK, record_lines
from services.dead_letters import Reason
from tests.support.dead_letters import BINARY, EVENT, HEADERS, event

pytestmark = pytest.mark.unit


def marked(value: bytes | None, field: str | None, headers: tuple[tuple[str, bytes], ...] = ()) -> str:
    [line] = [line for line in record_lines(value, headers, field) if line.startswith(MARK)]
    return line.removeprefix(MARK).strip()


def test_the_field_at_fault_is_marked_in_either_mode() -> None:
    bad = event(data={"interactions": -1, "model": "m"})
    assert marked(bad, "data.interactions") == '"interactions": -1,'
    assert marked(BINARY, "subject", HEADERS) == '"subject": "ann",'
    assert marked(b'{"leads":["a","b/"]}', "leads[1]") == '"b/"'


def test_of_two_equal_keys_the_second_is_marked() -> None:
    assert marked(b'{"data":{"lines":1,"lines":2}}', "data.lines") == '"lines": 2'


def test_what_is_missing_is_said_at_the_object_that_lacks_it() -> None:
    assert marked(event(subject=None), "subject").endswith("← subject is not here")
    assert marked(event(), "data.name").startswith('"data": {   ← name is not here')


def test_where_reading_stopped_is_shown() -> None:
    *_, stopped = record_lines(b'{"a": tru}', (), None)
    assert stopped == "        ▲ character 6"
    lines = record_lines(EVENT.replace(b"ann", b"a\xffn"), (), None)
    at = EVENT.index(b"ann") + 1
    assert lines[-1].strip() == f"byte {at} is no UTF-8: 0xff"
    assert [f"{at // 16 * 16:08x}" in line for line in lines if line.startswith(MARK)] == [True]


def test_a_long_record_is_shown_around_the_mark() -> None:
    long = json.dumps({f"n{place}": place for place in range(200)}).encode()
    lines = record_lines(long, (), "n100")
    assert len(lines) < 50
    assert (lines[0].strip(), lines[-1].strip()) == ("… 81 lines before", "… 80 lines after")
    assert marked(long, "n100") == '"n100": 100,'


@given(st.binary(max_size=60) | st.text(max_size=60).map(lambda text: json.dumps({"a": text}).encode()), st.text())
def test_any_record_is_shown_and_nothing_that_a_terminal_would_obey(value: bytes, field: str) -> None:
    for line in record_lines(value, (), field):
        assert line.isprintable(), line


def test_every_reason_has_a_remedy_and_an_unknown_one_has_none() -> None:
    assert set(REMEDIES) == set(Reason)
    assert all(text.endswith(".") for text in REMEDIES.values())
    assert remedy("negative") == REMEDIES[Reason.NEGATIVE]
    assert remedy("of a newer release") is remedy(None) is None
