import json
from typing import Any

import pytest

from ingest.admission import Admitted, Rejected
from services.dead_letters import Reason
from tests.unit.ingest.good_events import (
    DAY_MS,
    GOOD,
    MAX_AGE_MS,
    MAX_AHEAD_MS,
    MAX_BYTES,
    TIME_MS,
    admission,
    compact,
    event,
)


def raw(old: str, new: str) -> bytes:
    """Return the good event's bytes with one piece replaced."""
    text = compact(GOOD).decode()
    assert old in text
    return text.replace(old, new, 1).encode()


def data(**members: Any) -> bytes:
    return compact(event(data=members))


NESTED_16 = b"[" * 16 + b"]" * 16
DEEP = compact(event()).replace(b'"data":{', b'"x":' + NESTED_16 + b',"data":{')

CASES: list[tuple[str, bytes | None, Reason, str | None]] = [
    ("no value", None, Reason.NULL_RECORD, None),
    ("one byte too many", compact(event()) + b" " * (MAX_BYTES + 1), Reason.TOO_LARGE, None),
    ("too long and not UTF-8", b"\xff" * (MAX_BYTES + 1), Reason.TOO_LARGE, None),
    ("Latin-1", raw("user-1", "us\xe9r").decode().encode("latin-1"), Reason.NOT_UTF8, None),
    ("surrogate in UTF-8", compact(event(subject="\ud800")), Reason.NOT_UTF8, None),
    ("UTF-16", compact(event()).decode().encode("utf-16"), Reason.NOT_UTF8, None),
    ("empty", b"", Reason.NOT_JSON, None),
    ("blank", b" \n", Reason.NOT_JSON, None),
    ("cut off", compact(event())[:-1], Reason.NOT_JSON, None),
    ("byte order mark", b"\xef\xbb\xbf" + compact(event()), Reason.NOT_JSON, None),
    ("trailing comma", raw("}}", "},}"), Reason.NOT_JSON, None),
    ("two events", compact(event()) * 2, Reason.NOT_JSON, None),
    ("single quotes", compact(event()).replace(b'"', b"'"), Reason.NOT_JSON, None),
    ("raw line feed in a text", raw("user-1", "user\n1"), Reason.NOT_JSON, None),
    ("leading zero", raw('"interactions":1', '"interactions":01'), Reason.NOT_JSON, None),
    ("bad escape", raw("user-1", "user\\x1"), Reason.NOT_JSON, None),
    ("brackets without end", b"[" * 60_000, Reason.TOO_DEEP, None),
    ("objects without end", b'{"a":' * 10_000, Reason.TOO_DEEP, None),
    ("17 levels", DEEP, Reason.TOO_DEEP, None),
    ("17 levels of data", raw('"interactions":1', '"x":' + "[" * 15 + "]" * 15), Reason.TOO_DEEP, None),
    ("the same key twice", raw('"id":"e-1"', '"id":"e-1","id":"e-1"'), Reason.DUPLICATE_KEY, "id"),
    ("twice, other kind", raw('"id":"e-1"', '"id":1,"id":"e-1"'), Reason.DUPLICATE_KEY, "id"),
    ("twice by escape", raw('"id":"e-1"', '"id":"e-1","\\u0069d":"e-2"'), Reason.DUPLICATE_KEY, "id"),
    ("twice, null", raw('"id":"e-1"', '"teamid":null,"id":"e-1"'), Reason.DUPLICATE_KEY, "teamid"),
    ("type twice", raw('"type":', '"type":"usage.agent","type":'), Reason.DUPLICATE_KEY, "type"),
    (
        "twice in data",
        raw('"interactions":1', '"interactions":1,"interactions":1'),
        Reason.DUPLICATE_KEY,
        "data.interactions",
    ),
    ("data twice", raw('"data":', '"data":{},"data":'), Reason.DUPLICATE_KEY, "data"),
    ("NaN", raw('"interactions":1', '"interactions":NaN'), Reason.NOT_A_NUMBER, "data.interactions"),
    ("Infinity", raw('"interactions":1', '"interactions":Infinity'), Reason.NOT_A_NUMBER, "data.interactions"),
    ("-Infinity", raw('"interactions":1', '"interactions":-Infinity'), Reason.NOT_A_NUMBER, "data.interactions"),
    ("1e400", raw('"interactions":1', '"interactions":1e400'), Reason.NOT_A_NUMBER, "data.interactions"),
    ("NaN alone", b"NaN", Reason.NOT_A_NUMBER, None),
    ("an array", b"[" + compact(event()) + b"]", Reason.NOT_AN_OBJECT, None),
    ("a text", b'"event"', Reason.NOT_AN_OBJECT, None),
    ("a number", b"1", Reason.NOT_AN_OBJECT, None),
    ("null", b"null", Reason.NOT_AN_OBJECT, None),
    ("data an array", compact(event(data=[])), Reason.NOT_AN_OBJECT, "data"),
    ("data null", compact(event(data=None)), Reason.NOT_AN_OBJECT, "data"),
    ("data a text", compact(event(data="{}")), Reason.NOT_AN_OBJECT, "data"),
    *[(f"without {name}", compact(event(name)), Reason.MISSING_ATTRIBUTE, name) for name in GOOD if name != "teamid"],
    ("empty object", b"{}", Reason.MISSING_ATTRIBUTE, "specversion"),
    ("null subject", compact(event(subject=None)), Reason.MISSING_ATTRIBUTE, "subject"),
    ("null type", compact(event(type=None)), Reason.MISSING_ATTRIBUTE, "type"),
    *[
        (f"{name} a number", compact(event(**{name: 1})), Reason.WRONG_TYPE, name)
        for name in (*GOOD, "dataschema", "datacontenttype", "traceparent", "tracestate")
        if name != "data"
    ],
    ("specversion 0.3", compact(event(specversion="0.3")), Reason.WRONG_TYPE, "specversion"),
    ("a number as text", data(interactions="1"), Reason.WRONG_TYPE, "data.interactions"),
    ("true as number", data(interactions=True), Reason.WRONG_TYPE, "data.interactions"),
    ("null as number", data(interactions=None), Reason.WRONG_TYPE, "data.interactions"),
    ("an array as number", data(interactions=[1]), Reason.WRONG_TYPE, "data.interactions"),
    ("a number as language", data(language=1), Reason.WRONG_TYPE, "data.language"),
    ("null as language", data(language=None), Reason.WRONG_TYPE, "data.language"),
    (
        "half a surrogate pair in a text",
        data(language="x").replace(b'"x"', b'"\\ud800"'),
        Reason.WRONG_TYPE,
        "data.language",
    ),
    ("type of the directory", compact(event(type="directory.user")), Reason.UNKNOWN_TYPE, "type"),
    ("type in capitals", compact(event(type="usage.Chat")), Reason.UNKNOWN_TYPE, "type"),
    ("empty type", compact(event(type="")), Reason.UNKNOWN_TYPE, "type"),
    *[
        (f"empty {name}", compact(event(**{name: ""})), Reason.EMPTY_ID, name)
        for name in ("id", "source", "subject", "organizationid", "teamid")
    ],
    *[
        (f"long {name}", compact(event(**{name: "é" * (most + 1)})), Reason.ID_TOO_LONG, name)
        for name, most in (("id", 256), ("source", 256), ("subject", 128), ("organizationid", 128), ("teamid", 128))
    ],
    *[
        (f"{bad!r} in {name}", json.dumps(event(**{name: f"a{bad}b"})).encode(), Reason.BAD_ID, name)
        for name in ("subject", "organizationid", "teamid")
        for bad in ("/", "\n", "\0", "\x7f", "\x85", "\ud800", "\udc00")
    ],
    *[
        (f"{bad!r} in {name}", json.dumps(event(**{name: f"a{bad}b"})).encode(), Reason.BAD_ID, name)
        for name in ("id", "source")
        for bad in ("\n", "\0", "\x7f", "\x9f", "\udfff")
    ],
    ("a raw DEL", raw("user-1", "user\x7f"), Reason.BAD_ID, "subject"),
    *[
        (f"{name} {reserved}", compact(event(**{name: reserved})), Reason.RESERVED_ID, name)
        for name in ("subject", "organizationid", "teamid")
        for reserved in ("usage", "account-utilizations", "agent-usage")
    ],
    ("no offset", compact(event(time="2026-08-22T08:00:00")), Reason.TIME_WITHOUT_OFFSET, "time"),
    ("no offset, fraction", compact(event(time="2026-08-22T08:00:00.125")), Reason.TIME_WITHOUT_OFFSET, "time"),
    *[
        (f"time {text!r}", compact(event(time=text)), Reason.WRONG_TYPE, "time")
        for text in (
            "",
            "now",
            "1787385600",
            "2026-08-22",
            "2026-08-22 08:00:00Z",
            "2026-08-22T08:00Z",
            "2026-08-22T08:00:00+0200",
            "2026-08-22T08:00:00+02",
            "2026-08-22T08:00:00+24:00",
            "2026-08-22T08:00:00+02:60",
            "2026-08-22T08:00:60Z",
            "2026-08-22T24:00:00Z",
            "2026-02-30T08:00:00",
            "2026-13-22T08:00:00Z",
            "2026-08-22T08:00:00,5Z",
            "2026-08-22T08:00:00.Z",
            "20260822T080000Z",
            "2026-W34-6T08:00:00Z",
            "0000-08-22T08:00:00Z",
            "0001-01-01T00:00:00+23:59",
            "9999-12-31T23:59:59-00:01",
            " 2026-08-22T08:00:00Z",
            "2026-08-22T08:00:00Z\n",
            "\uff12026-08-22T08:00:00Z",
        )
    ],
    ("unknown attribute", compact(event(tenant="x")), Reason.UNKNOWN_FIELD, "tenant"),
    ("data_base64", compact(event(data_base64="")), Reason.UNKNOWN_FIELD, "data_base64"),
    ("unknown in data", data(interactions=1, hats=1), Reason.UNKNOWN_FIELD, "data.hats"),
    ("another type's field", data(completions=1), Reason.UNKNOWN_FIELD, "data.completions"),
    ("a field with half a surrogate pair", raw('"interactions"', '"\\ud800"'), Reason.UNKNOWN_FIELD, "data.\ud800"),
    *[
        (
            f"{number} as number",
            raw('"interactions":1', f'"interactions":{number}'),
            Reason.NOT_AN_INTEGER,
            "data.interactions",
        )
        for number in ("1.5", "1.0", "1e3", "-0.0", "-1.5", "1E+2", "0e0")
    ],
    ("-1", data(interactions=-1), Reason.NEGATIVE, "data.interactions"),
    ("-10^30", data(interactions=-(10**30)), Reason.NEGATIVE, "data.interactions"),
    ("2^31", data(interactions=2**31), Reason.TOO_BIG, "data.interactions"),
    ("10^5000", raw('"interactions":1', '"interactions":1' + "0" * 5000), Reason.TOO_BIG, "data.interactions"),
    ("language of 65 characters", data(language="é" * 65), Reason.TOO_BIG, "data.language"),
]


@pytest.mark.parametrize(("value", "reason", "field"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_a_broken_record_is_rejected_with_its_reason_and_field(
    value: bytes | None, reason: Reason, field: str | None
) -> None:
    verdict = admission().admit(value, TIME_MS)
    assert isinstance(verdict, Rejected)
    assert (verdict.reason, verdict.field) == (reason, field)
    assert verdict.detail


def test_every_reason_is_reached_by_the_table_or_by_an_age() -> None:
    assert {case[2] for case in CASES} | {Reason.TOO_OLD, Reason.IN_THE_FUTURE} == set(Reason) - {Reason.SKIPPED_FRAME}


@pytest.mark.parametrize(
    ("broker_ms", "reason"),
    [
        (TIME_MS - MAX_AHEAD_MS, None),
        (TIME_MS - MAX_AHEAD_MS - 1, Reason.IN_THE_FUTURE),
        (TIME_MS + MAX_AGE_MS, None),
        (TIME_MS + MAX_AGE_MS + 1, Reason.TOO_OLD),
    ],
)
def test_the_limits_of_age_belong_to_what_is_admitted(broker_ms: int, reason: Reason | None) -> None:
    verdict = admission().admit(compact(event()), broker_ms)
    assert (verdict.reason if isinstance(verdict, Rejected) else None) == reason


def test_without_an_age_limit_old_events_are_admitted_and_future_ones_are_not() -> None:
    judge = admission(max_age_ms=None)
    assert isinstance(judge.admit(compact(event()), TIME_MS + 20_000 * DAY_MS), Admitted)
    assert isinstance(judge.admit(compact(event()), 0), Rejected)


def test_too_deep_is_found_in_ignored_fields_too() -> None:
    for value in (DEEP, compact(event()).replace(b'"data"', b'"x":' + b"[" * 900 + b"]" * 900 + b',"data"')):
        verdict = admission("ignore").admit(value, TIME_MS)
        assert isinstance(verdict, Rejected)
        assert verdict.reason is Reason.TOO_DEEP


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ('"data":', '"x":1,"x":1,"data":', Reason.DUPLICATE_KEY),
        ('"data":', '"x":{"y":1,"y":2},"data":', Reason.DUPLICATE_KEY),
        ('"data":', '"x":1e400,"data":', Reason.NOT_A_NUMBER),
        ('"data":', '"x":NaN,"data":', Reason.NOT_A_NUMBER),
        ('"data":', '"x":"\\ud800","data":', Reason.WRONG_TYPE),
        ('"interactions":1', '"hats":tru', Reason.NOT_JSON),
    ],
)
def test_what_is_ignored_must_still_be_sound_json(old: str, new: str, reason: Reason) -> None:
    verdict = admission("ignore").admit(raw(old, new), TIME_MS)
    assert isinstance(verdict, Rejected)
    assert verdict.reason is reason


def test_ignored_bytes_must_still_be_utf8() -> None:
    value = compact(event()).replace(b'"data"', b'"x":"\xff","data"')
    verdict = admission("ignore").admit(value, TIME_MS)
    assert isinstance(verdict, Rejected)
    assert verdict.reason is Reason.NOT_UTF8


def test_a_long_name_of_an_unknown_field_is_cut() -> None:
    verdict = admission().admit(compact(event(**{"x" * 5000: 1})), TIME_MS)
    assert isinstance(verdict, Rejected)
    assert verdict.field == "x" * 200


def test_a_text_of_quotes_without_end_is_looked_at_in_linear_time() -> None:
    verdict = admission().admit(b'"' + b'\\"' * 30_000, TIME_MS)
    assert isinstance(verdict, Rejected)
    assert verdict.reason is Reason.NOT_JSON
