"""Every fault of a directory event has its reason and its field, always the same."""

import json
from typing import Any

import pytest

from ingest.verdicts import Rejected
from services.dead_letters import Reason
from services.directory_records import DirectoryChange
from tests.unit.ingest.directory_events import DATA, REQUIRED, TYPES, directory_admission, directory_event, with_data
from tests.unit.ingest.good_events import MAX_AHEAD_MS, MAX_BYTES, TIME_MS, compact

ORGANIZATION, TEAM, USER, GROUP, LICENSE = TYPES
Case = tuple[str, bytes | None, Reason, str | None]


def raw(kind: str, old: str, new: str) -> bytes:
    """Return a good event's bytes with one piece replaced."""
    text = compact(directory_event(kind)).decode()
    assert old in text
    return text.replace(old, new, 1).encode()


def data(kind: str, **changes: Any) -> bytes:
    return compact(with_data(kind, **changes))


OF_THE_RECORD: list[Case] = [
    ("no value", None, Reason.NULL_RECORD, None),
    ("one byte too many", compact(directory_event()) + b" " * MAX_BYTES, Reason.TOO_LARGE, None),
    ("Latin-1", raw(USER, "Ann", "\xe9").decode().encode("latin-1"), Reason.NOT_UTF8, None),
    ("surrogate in UTF-8", compact(directory_event(subject="\ud800")), Reason.NOT_UTF8, None),
    ("empty", b"", Reason.NOT_JSON, None),
    ("cut off", compact(directory_event())[:-1], Reason.NOT_JSON, None),
    ("two events", compact(directory_event()) * 2, Reason.NOT_JSON, None),
    ("leading zero", raw(USER, '"version":7', '"version":07'), Reason.NOT_JSON, None),
    ("17 levels", data(LICENSE, settings={"a": json.loads("[" * 14 + "]" * 14)}), Reason.TOO_DEEP, None),
    ("brackets without end", b"[" * 60_000, Reason.TOO_DEEP, None),
    ("the same key twice", raw(USER, '"id":"d-1"', '"id":"d-1","id":"d-1"'), Reason.DUPLICATE_KEY, "id"),
    ("twice by escape", raw(USER, '"id":"d-1"', '"id":"d-1","\\u0069d":"d"'), Reason.DUPLICATE_KEY, "id"),
    ("twice in data", raw(USER, '"version":7', '"version":7,"version":8'), Reason.DUPLICATE_KEY, "data.version"),
    ("data twice", raw(USER, '"data":', '"data":{},"data":'), Reason.DUPLICATE_KEY, "data"),
    ("twice in settings", raw(LICENSE, '"":[]', '"a":1,"a":1'), Reason.DUPLICATE_KEY, "data.settings.a"),
    ("NaN", raw(USER, '"version":7', '"version":NaN'), Reason.NOT_A_NUMBER, "data.version"),
    ("1e400", raw(USER, '"version":7', '"version":1e400'), Reason.NOT_A_NUMBER, "data.version"),
    ("NaN in settings", raw(LICENSE, "1.5", "-Infinity"), Reason.NOT_A_NUMBER, "data.settings.chat.models[2]"),
    ("an array", b"[" + compact(directory_event()) + b"]", Reason.NOT_AN_OBJECT, None),
    ("null", b"null", Reason.NOT_AN_OBJECT, None),
]
OF_THE_ENVELOPE: list[Case] = [
    *[
        (f"without {name}", compact(directory_event(USER, name)), Reason.MISSING_ATTRIBUTE, name)
        for name in directory_event()
    ],
    *[
        (f"{name} null", compact(directory_event(USER, **{name: None})), Reason.MISSING_ATTRIBUTE, name)
        for name in directory_event()
        if name not in ("type", "data")
    ],
    *[
        (f"{name} a number", compact(directory_event(USER, **{name: 1})), Reason.WRONG_TYPE, name)
        for name in (*directory_event(), "dataschema", "datacontenttype", "traceparent", "tracestate")
        if name != "data"
    ],
    ("an empty object", b"{}", Reason.MISSING_ATTRIBUTE, "type"),
    ("type null", compact(directory_event(type=None)), Reason.WRONG_TYPE, "type"),
    ("specversion 0.3", compact(directory_event(specversion="0.3")), Reason.WRONG_TYPE, "specversion"),
    *[
        (f"type {text}", compact(directory_event(type=text)), Reason.UNKNOWN_TYPE, "type")
        for text in ("", "usage.chat", "directory.User", "directory")
    ],
    *[
        (f"empty {name}", compact(directory_event(USER, **{name: ""})), Reason.EMPTY_ID, name)
        for name in ("id", "source", "subject", "organizationid")
    ],
    *[
        (f"long {name}", compact(directory_event(USER, **{name: "é" * (most + 1)})), Reason.ID_TOO_LONG, name)
        for name, most in (("id", 256), ("source", 256), ("subject", 128), ("organizationid", 128))
    ],
    *[
        (f"{bad!r} in {name}", json.dumps(directory_event(USER, **{name: f"a{bad}b"})).encode(), Reason.BAD_ID, name)
        for name in ("id", "source", "subject", "organizationid")
        for bad in ("\n", "\0", "\x7f", "\x9f", *("/" if name in ("subject", "organizationid") else ""))
    ],
    *[
        (f"{name} {word}", compact(directory_event(USER, **{name: word})), Reason.RESERVED_ID, name)
        for name in ("subject", "organizationid")
        for word in ("usage", "account-utilizations", "agent-usage")
    ],
    (
        "half a surrogate pair in a text",
        compact(directory_event()).replace(b"d-1", b"\\ud800"),
        Reason.WRONG_TYPE,
        "id",
    ),
    ("no offset", compact(directory_event(time="2026-08-22T08:00:00")), Reason.TIME_WITHOUT_OFFSET, "time"),
    *[
        (f"time {text!r}", compact(directory_event(time=text)), Reason.WRONG_TYPE, "time")
        for text in ("", "now", "2026-08-22 08:00:00Z", "2026-08-22T24:00:00Z", "9999-12-31T23:59:59-00:01")
    ],
    ("too far ahead", compact(directory_event(time="2026-08-22T08:05:00.001Z")), Reason.IN_THE_FUTURE, "time"),
    ("teamid", compact(directory_event(teamid="t")), Reason.UNKNOWN_FIELD, "teamid"),
    ("unknown attribute", compact(directory_event(tenant="x")), Reason.UNKNOWN_FIELD, "tenant"),
    (
        "an organization that is not its own",
        compact(directory_event(ORGANIZATION, subject="org-2")),
        Reason.WRONG_TYPE,
        "organizationid",
    ),
]
OF_THE_DATA: list[Case] = [
    *[
        (f"data {value!r}", compact(directory_event(data=value)), Reason.NOT_AN_OBJECT, "data")
        for value in (["a"], "{}", 1, None, True)
    ],
    *[
        (f"{kind} without {name}", compact(with_data(kind, name)), Reason.MISSING_ATTRIBUTE, f"data.{name}")
        for kind in TYPES
        for name in ("action", "version", *REQUIRED[kind])
    ],
    *[
        (f"{kind} {name} null", data(kind, **{name: None}), Reason.MISSING_ATTRIBUTE, f"data.{name}")
        for kind in TYPES
        for name in ("version", *REQUIRED[kind])
    ],
    *[
        (f"{kind} {name} of another kind", data(kind, **{name: wrong}), Reason.WRONG_TYPE, f"data.{name}")
        for kind in TYPES
        for name, value in DATA[kind].items()
        for wrong in (["a"] if isinstance(value, dict) else {"a": 1}, "a" if isinstance(value, bool | int) else 1)
        if not (name == "settings" and wrong == 1)
    ],
    *[(f"{kind} unknown", data(kind, hats=1), Reason.UNKNOWN_FIELD, "data.hats") for kind in TYPES],
    ("another type's field", data(TEAM, email="a@b"), Reason.UNKNOWN_FIELD, "data.email"),
    (
        "a field in a delete",
        compact(directory_event(data={"action": "delete", "version": 1, "name": "x"})),
        Reason.UNKNOWN_FIELD,
        "data.name",
    ),
    *[
        (f"action {value!r}", data(GROUP, action=value), Reason.WRONG_TYPE, "data.action")
        for value in ("insert", "Upsert", "", 1, None)
    ],
    *[
        (f"version {text}", raw(TEAM, '"version":7', f'"version":{text}'), reason, "data.version")
        for text, reason in (
            ("-1", Reason.NEGATIVE),
            ("-1" + "0" * 30, Reason.NEGATIVE),
            (str(2**53), Reason.TOO_BIG),
            ("1" + "0" * 30, Reason.TOO_BIG),
            ("1" + "0" * 5_000, Reason.TOO_BIG),
            ("7.0", Reason.NOT_AN_INTEGER),
            ("7e0", Reason.NOT_AN_INTEGER),
            ('"7"', Reason.WRONG_TYPE),
            ("true", Reason.WRONG_TYPE),
        )
    ],
    *[
        (f"{name} {word}", data(USER, **{name: word}), Reason.WRONG_TYPE, f"data.{name}")
        for name, word in (("status", "deleted"), ("status", "Registered"), ("role", "admin"), ("role", ""))
    ],
    *[
        (f"email {text!r}", data(USER, email=text), Reason.WRONG_TYPE, "data.email")
        for text in ("", "ann", "@b", "a@", "a@b@c", "a b@c", "a@b\n", "\u2003a@b")
    ],
    *[
        (
            f"{name} without offset",
            data(USER, **{name: "2026-08-22T08:00:00"}),
            Reason.TIME_WITHOUT_OFFSET,
            f"data.{name}",
        )
        for name in ("createdAt", "updatedAt", "deactivatedAt")
    ],
    *[
        (f"{name} {text}", data(USER, **{name: text}), Reason.WRONG_TYPE, f"data.{name}")
        for name in ("createdAt", "updatedAt", "deactivatedAt")
        for text in ("", "2026-02-30T00:00:00Z", "1787385600")
    ],
    *[
        (f"{field} {value[:10]!r}", data(kind, **{name: value if plain else ["ok", value]}), reason, field)
        for kind, name, plain, field in (
            (ORGANIZATION, "parentId", True, "data.parentId"),
            (USER, "teamId", True, "data.teamId"),
            (USER, "leads", False, "data.leads[1]"),
        )
        for value, reason in (
            ("", Reason.EMPTY_ID),
            ("x" * 129, Reason.ID_TOO_LONG),
            ("a/b", Reason.BAD_ID),
            ("a\x85", Reason.BAD_ID),
            ("usage", Reason.RESERVED_ID),
        )
    ],
    ("a lead that is null", data(USER, leads=[None]), Reason.WRONG_TYPE, "data.leads[0]"),
    *[
        (f"empty {name}", data(kind, **{name: ""}), Reason.WRONG_TYPE, f"data.{name}")
        for kind, name in (
            (ORGANIZATION, "name"),
            (ORGANIZATION, "planType"),
            (ORGANIZATION, "tier"),
            (TEAM, "name"),
            (USER, "username"),
            (GROUP, "name"),
        )
    ],
    ("an empty domain", data(ORGANIZATION, domains=[""]), Reason.WRONG_TYPE, "data.domains[0]"),
    ("an empty feature", data(LICENSE, features=[""]), Reason.WRONG_TYPE, "data.features[0]"),
    *[
        (f"{name} {number}", data(LICENSE, **{name: number}), reason, f"data.{name}")
        for name in ("exp", "iat", "seats", "seatsCap")
        for number, reason in ((-1, Reason.NEGATIVE), (2**53, Reason.TOO_BIG), (1.5, Reason.NOT_AN_INTEGER))
    ],
    ("exp as iat", data(LICENSE, exp=5, iat=5), Reason.WRONG_TYPE, "data.exp"),
    ("exp before iat", data(LICENSE, exp=4, iat=5), Reason.WRONG_TYPE, "data.exp"),
    ("settings beyond 64 bits", data(LICENSE, settings={"a": 2**64}), Reason.TOO_BIG, "data"),
    ("settings below 64 bits", data(LICENSE, settings={"a": -(2**63) - 1}), Reason.TOO_BIG, "data"),
    (
        "half a surrogate pair in settings",
        raw(LICENSE, '"":[]', '"a":"\\udc00"'),
        Reason.WRONG_TYPE,
        "data.settings.a",
    ),
]
CASES = OF_THE_RECORD + OF_THE_ENVELOPE + OF_THE_DATA


@pytest.mark.parametrize(("value", "reason", "field"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_a_broken_record_is_rejected_with_its_reason_and_field(
    value: bytes | None, reason: Reason, field: str | None
) -> None:
    verdict = directory_admission().admit(value, TIME_MS)
    assert isinstance(verdict, Rejected)
    assert (verdict.reason, verdict.field) == (reason, field)
    assert verdict.detail
    assert "Ann" not in verdict.detail


def test_every_reason_but_too_old_is_reached() -> None:
    assert {case[2] for case in CASES} == set(Reason) - {Reason.TOO_OLD, Reason.SKIPPED_FRAME}


LONGEST: list[tuple[str, str, Any, Any, Reason, str]] = [
    *[
        (kind, name, "é" * most, "é" * (most + 1), Reason.TOO_BIG, f"data.{name}")
        for kind, name, most in (
            (ORGANIZATION, "name", 256),
            (ORGANIZATION, "publicKey", 16_384),
            (ORGANIZATION, "planType", 64),
            (ORGANIZATION, "tier", 64),
            (TEAM, "name", 256),
            (USER, "username", 256),
            (GROUP, "name", 256),
            (LICENSE, "audience", 256),
        )
    ],
    (USER, "email", "é@" + "é" * 318, "é@" + "é" * 319, Reason.TOO_BIG, "data.email"),
    (ORGANIZATION, "parentId", "é" * 128, "é" * 129, Reason.ID_TOO_LONG, "data.parentId"),
    (USER, "teamId", "é" * 128, "é" * 129, Reason.ID_TOO_LONG, "data.teamId"),
    (USER, "leads", ["a"] * 200, ["a"] * 201, Reason.TOO_BIG, "data.leads"),
    (ORGANIZATION, "domains", ["a"] * 100, ["a"] * 101, Reason.TOO_BIG, "data.domains"),
    (ORGANIZATION, "domains", ["é" * 253], ["é" * 254], Reason.TOO_BIG, "data.domains[0]"),
    (LICENSE, "features", ["a"] * 200, ["a"] * 201, Reason.TOO_BIG, "data.features"),
    (LICENSE, "features", ["é" * 64], ["é" * 65], Reason.TOO_BIG, "data.features[0]"),
    (LICENSE, "seats", 2**31 - 1, 2**31, Reason.TOO_BIG, "data.seats"),
    (LICENSE, "seatsCap", 2**31 - 1, 2**31, Reason.TOO_BIG, "data.seatsCap"),
    (LICENSE, "exp", 2**53 - 1, 2**53, Reason.TOO_BIG, "data.exp"),
    (TEAM, "version", 2**53 - 1, 2**53, Reason.TOO_BIG, "data.version"),
]


@pytest.mark.parametrize(("kind", "name", "longest", "longer", "reason", "field"), LONGEST)
def test_the_limit_of_a_field_belongs_to_what_is_admitted(
    kind: str, name: str, longest: Any, longer: Any, reason: Reason, field: str
) -> None:
    judge = directory_admission()
    assert isinstance(judge.admit(data(kind, **{name: longest}), TIME_MS), DirectoryChange)
    verdict = judge.admit(data(kind, **{name: longer}), TIME_MS)
    assert isinstance(verdict, Rejected)
    assert (verdict.reason, verdict.field) == (reason, field)


def test_what_is_too_large_or_ahead_is_so_by_one() -> None:
    judge, value = directory_admission(), compact(directory_event())
    assert isinstance(judge.admit(value + b" " * (MAX_BYTES - len(value)), TIME_MS), DirectoryChange)
    assert isinstance(judge.admit(value + b" " * (MAX_BYTES + 1 - len(value)), TIME_MS), Rejected)
    assert isinstance(judge.admit(value, TIME_MS - MAX_AHEAD_MS), DirectoryChange)
    assert isinstance(judge.admit(value, TIME_MS - MAX_AHEAD_MS - 1), Rejected)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ('"data":', '"x":1,"x":1,"data":', Reason.DUPLICATE_KEY),
        ('"data":', '"x":NaN,"data":', Reason.NOT_A_NUMBER),
        ('"data":', '"x":"\\ud800","data":', Reason.WRONG_TYPE),
        ('"version":7', '"version":7,"x":{"y":1,"y":2}', Reason.DUPLICATE_KEY),
        ('"version":7', '"version":7,"hats":tru', Reason.NOT_JSON),
    ],
)
def test_what_is_ignored_must_still_be_sound_json(old: str, new: str, reason: Reason) -> None:
    verdict = directory_admission("ignore").admit(raw(USER, old, new), TIME_MS)
    assert isinstance(verdict, Rejected)
    assert verdict.reason is reason


def test_a_long_name_of_an_unknown_field_is_cut() -> None:
    for value in (directory_event(USER, **{"x" * 5000: 1}), with_data(USER, **{"x" * 5000: 1})):
        verdict = directory_admission().admit(compact(value), TIME_MS)
        assert isinstance(verdict, Rejected)
        assert verdict.field is not None
        assert len(verdict.field) == 200


ATTRIBUTES = {f"ce_{name}": value.encode() for name, value in directory_event(USER).items() if name != "data"}


def headers(*without: str, **changes: bytes) -> list[tuple[str, bytes]]:
    return [(name, value) for name, value in (ATTRIBUTES | changes).items() if name not in without]


def test_binary_and_structured_mode_give_the_same_change() -> None:
    judge, whole = directory_admission(), directory_event(USER)
    given = [*headers(), ("trace", b"\xff"), ("content-type", b"application/json")]
    binary = judge.admit(compact(whole["data"]), TIME_MS, given)
    assert isinstance(binary, DirectoryChange)
    assert binary == judge.admit(compact(whole), TIME_MS)


@pytest.mark.parametrize(
    ("value", "given", "reason", "field"),
    [
        (None, headers(), Reason.NULL_RECORD, None),
        (b"{}", headers(), Reason.MISSING_ATTRIBUTE, "data.action"),
        (b"[]", headers(), Reason.NOT_AN_OBJECT, "data"),
        (b'{"action":"delete","version":1},"subject":"x"', headers(), Reason.NOT_JSON, None),
        (b'{"action":"delete","version":1,"version":2}', headers(), Reason.DUPLICATE_KEY, "data.version"),
        (b'{"action":"delete","version":1}', headers("ce_subject"), Reason.MISSING_ATTRIBUTE, "subject"),
        (b'{"action":"delete","version":1}', headers(ce_subject=b"\xff"), Reason.NOT_UTF8, "subject"),
        (b'{"action":"delete","version":1}', headers(ce_type=b"usage.chat"), Reason.UNKNOWN_TYPE, "type"),
        (b'{"action":"delete","version":1}', headers(ce_teamid=b"t"), Reason.UNKNOWN_FIELD, "teamid"),
    ],
)
def test_a_broken_record_in_binary_mode_has_the_reason_of_structured_mode(
    value: bytes | None, given: list[tuple[str, bytes]], reason: Reason, field: str | None
) -> None:
    verdict = directory_admission().admit(value, TIME_MS, given)
    assert isinstance(verdict, Rejected)
    assert (verdict.reason, verdict.field) == (reason, field)
