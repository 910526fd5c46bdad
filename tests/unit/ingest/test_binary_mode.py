import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.admission import Admitted, Rejected
from services.dead_letters import Reason
from tests.unit.ingest.good_events import GOOD, MAX_BYTES, TIME_MS, admission, compact, event

ATTRIBUTES = {f"ce_{name}": value.encode() for name, value in GOOD.items() if name != "data"}
DATA = compact(GOOD["data"])


def headers(*without: str, **changes: bytes) -> list[tuple[str, bytes]]:
    return [(name, value) for name, value in (ATTRIBUTES | changes).items() if name not in without]


def rejection(value: bytes | None, given: list[tuple[str, bytes]]) -> tuple[Reason, str | None]:
    verdict = admission().admit(value, TIME_MS, given)
    assert isinstance(verdict, Rejected), verdict
    return verdict.reason, verdict.field


def test_binary_and_structured_mode_give_the_same_event() -> None:
    own = [("trace", b"\xff"), *headers(), ("content-type", b"application/json; charset=utf-8")]
    binary = admission().admit(DATA, TIME_MS, own)
    structured = admission().admit(compact(event(datacontenttype="application/json; charset=utf-8")), TIME_MS)
    assert isinstance(binary, Admitted)
    assert binary == structured


def test_a_structured_record_may_carry_attributes_as_headers_too() -> None:
    given = [*headers(ce_id=b"another"), ("content-type", b"application/cloudevents+json; charset=UTF-8")]
    verdict = admission().admit(compact(event()), TIME_MS, given)
    assert isinstance(verdict, Admitted)
    assert verdict.event.id == "e-1"


def test_headers_without_specversion_are_not_binary_mode() -> None:
    verdict = admission().admit(compact(event()), TIME_MS, headers("ce_specversion"))
    assert isinstance(verdict, Admitted)


@pytest.mark.parametrize(
    ("value", "reason", "field"),
    [
        (None, Reason.NULL_RECORD, None),
        (b"", Reason.NOT_JSON, None),
        (b"{}}", Reason.NOT_JSON, None),
        (b'{},"teamid":"t"', Reason.NOT_JSON, None),
        (b'{"interactions":"\xff"}', Reason.NOT_UTF8, None),
        (b"[" * 50_000, Reason.TOO_DEEP, None),
        (b'{"interactions":NaN}', Reason.NOT_A_NUMBER, "data.interactions"),
        (b'{"interactions":1,"interactions":1}', Reason.DUPLICATE_KEY, "data.interactions"),
        (b"[]", Reason.NOT_AN_OBJECT, "data"),
        (b'{"interactions":-1}', Reason.NEGATIVE, "data.interactions"),
        (compact(event()), Reason.UNKNOWN_FIELD, "data.specversion"),
        (b'{"language":"' + b"x" * MAX_BYTES + b'"}', Reason.TOO_LARGE, None),
    ],
)
def test_a_broken_value_has_the_reason_of_structured_mode(value: bytes | None, reason: Reason, field: str) -> None:
    assert rejection(value, headers()) == (reason, field)


@pytest.mark.parametrize(
    ("given", "reason", "field"),
    [
        (headers("ce_id"), Reason.MISSING_ATTRIBUTE, "id"),
        (headers(ce_id=b""), Reason.EMPTY_ID, "id"),
        (headers(ce_subject=b"\xff"), Reason.NOT_UTF8, "subject"),
        (headers(ce_specversion=b"0.3"), Reason.WRONG_TYPE, "specversion"),
        (headers(ce_tenant=b"x"), Reason.UNKNOWN_FIELD, "tenant"),
        (headers(ce_data=b"x"), Reason.DUPLICATE_KEY, "data"),
        ([*headers(), ("ce_id", b"e-2")], Reason.DUPLICATE_KEY, "id"),
        ([*headers(), ("content-type", b"application/avro")], Reason.WRONG_TYPE, "datacontenttype"),
    ],
)
def test_a_broken_header_has_the_reason_of_structured_mode(
    given: list[tuple[str, bytes]], reason: Reason, field: str
) -> None:
    assert rejection(DATA, given) == (reason, field)


def test_a_header_cannot_add_attributes() -> None:
    verdict = admission().admit(DATA, TIME_MS, headers("ce_teamid", ce_subject=b'a","teamid":"b'))
    assert isinstance(verdict, Admitted)
    assert (verdict.event.subject, verdict.event.teamid) == ('a","teamid":"b', None)


@given(value=st.binary(max_size=12) | st.text(alphabet='{}[],:"1', max_size=12).map(str.encode))
def test_no_value_can_add_attributes(value: bytes) -> None:
    verdict = admission().admit(value, TIME_MS, headers("ce_teamid"))
    if isinstance(verdict, Admitted):
        assert verdict.event.teamid is None
        assert isinstance(json.loads(value), dict)
