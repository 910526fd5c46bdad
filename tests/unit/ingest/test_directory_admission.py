"""Directory events accepted and refused, held against the contract as `tests.support.directory_lines` restates it."""

import json
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import event as happened
from hypothesis import example, given
from hypothesis import strategies as st

from ingest.verdicts import Rejected
from services.directory import Status, Thing
from services.directory_records import DirectoryChange, decode_record
from services.events import UnknownFields
from tests.support.directory_lines import read_change
from tests.unit.ingest.directory_events import DATA, REQUIRED, TYPES, directory_admission, directory_event, with_data
from tests.unit.ingest.good_events import DAY_MS, MAX_AHEAD_MS, MAX_BYTES, TIME, TIME_MS, compact


def admitted(value: bytes, unknown_fields: UnknownFields = "refuse") -> DirectoryChange:
    verdict = directory_admission(unknown_fields).admit(value, TIME_MS)
    assert isinstance(verdict, DirectoryChange), verdict
    return verdict


def record_of(value: dict[str, Any]) -> dict[str, Any]:
    record = admitted(compact(value)).record
    assert record is not None
    return decode_record(record)


@pytest.mark.parametrize("kind", TYPES)
def test_a_good_event_of_every_type_gives_its_whole_record(kind: str) -> None:
    change = admitted(compact(directory_event(kind)))
    assert (change.organization, change.subject) == ("org-1", directory_event(kind)["subject"])
    assert (change.version, change.time_ms) == (7, TIME_MS)
    assert f"directory.{change.thing.name.lower()}" == kind
    assert change.status == (Status.REGISTERED if kind == "directory.user" else None)
    assert record_of(directory_event(kind)) == DATA[kind]


@pytest.mark.parametrize("kind", TYPES)
def test_a_record_holds_no_more_than_what_was_said(kind: str) -> None:
    required = {name: DATA[kind][name] for name in REQUIRED[kind]}
    absent = {name: None for name in DATA[kind] if name not in required}
    assert record_of(with_data(kind, *absent)) == required
    assert record_of(with_data(kind, **absent)) == required


@pytest.mark.parametrize("kind", TYPES)
def test_a_delete_leaves_a_version_and_no_record(kind: str) -> None:
    change = admitted(compact(directory_event(kind, data={"action": "delete", "version": 0})))
    assert (change.version, change.status, change.record) == (0, None, None)


@pytest.mark.parametrize("status", ["registered", "deactivated", "invited"])
def test_a_users_status_stands_beside_its_record(status: str) -> None:
    assert admitted(compact(with_data("directory.user", status=status))).status == status


def test_times_are_kept_in_utc_with_whole_seconds_rounded_down() -> None:
    texts = {
        "createdAt": "2026-01-01T01:30:00.999+01:30",
        "updatedAt": "1969-12-31T23:59:59.5Z",
        "deactivatedAt": "0001-01-01t00:00:00z",
    }
    record = record_of(with_data("directory.user", **texts))
    assert [record[name] for name in texts] == [
        "2026-01-01T00:00:00Z",
        "1969-12-31T23:59:59Z",
        "0001-01-01T00:00:00Z",
    ]


@pytest.mark.parametrize(
    "value",
    [
        compact(directory_event(dataschema="s", datacontenttype="t", traceparent=None, tracestate="u")),
        json.dumps(directory_event(subject="Zoë Ωmega", id='a"b\\c'), indent=2).encode(),
        compact(directory_event(subject="é" * 128, organizationid="😀" * 128, id="😀" * 256, source="ö" * 256)),
        compact(with_data("directory.user", leads=[])),
        compact(with_data("directory.user", email="é+ü@é")),
        compact(with_data("directory.organization", parentId="org-1", domains=[], publicKey="")),
        compact(with_data("directory.license", settings={}, audience="", features=[], seats=0, iat=0, exp=1)),
        compact(directory_event()).replace(b'"version":7', b'"version":-0'),
        b"\t\r\n " + compact(directory_event()) + b" ",
    ],
)
def test_unusual_but_good_records_are_admitted(value: bytes) -> None:
    admitted(value)


def test_an_event_may_be_as_late_as_it_likes_but_not_ahead() -> None:
    judge = directory_admission()
    value = compact(directory_event(time=TIME))
    assert isinstance(judge.admit(value, TIME_MS + 20_000 * DAY_MS), DirectoryChange)
    assert isinstance(judge.admit(value, TIME_MS - MAX_AHEAD_MS), DirectoryChange)
    ahead = judge.admit(value, TIME_MS - MAX_AHEAD_MS - 1)
    assert isinstance(ahead, Rejected)
    assert (ahead.reason, ahead.field) == ("in_the_future", "time")


def test_unknown_fields_are_passed_over_when_the_setting_says_so() -> None:
    for kind in TYPES:
        value = compact(with_data(kind, hats={"a": [1, None]}) | {"tenant": 1})
        assert isinstance(directory_admission().admit(value, TIME_MS), Rejected)
        assert admitted(value, "ignore").record == admitted(compact(directory_event(kind))).record
    gone = compact(directory_event(data={"action": "delete", "version": 1, "name": "x", "role": 5}))
    assert isinstance(directory_admission().admit(gone, TIME_MS), Rejected)
    assert admitted(gone, "ignore").record is None


def test_a_usage_event_is_none_of_the_directory() -> None:
    value = compact(directory_event(type="usage.chat", data={"interactions": 1}))
    verdict = directory_admission().admit(value, TIME_MS)
    assert isinstance(verdict, Rejected)
    assert (verdict.reason, verdict.field) == ("unknown_type", "type")


_WORDS = rb"""
    " \ \u0069 { } [ ] , : 0 - 1e3 1.0 NaN 1e400 null true "" / \ud800 usage Z +02:00 99999999999999999 .5 60 @ \n
    "id":"e-1", "action":"delete", "version":1, "status":"invited", "name":"", "x":[{}], "leads":["a"],
    18446744073709551616
    "type":"directory.team", "data":{"action":"delete","version":1},
"""
_PIECES = st.sampled_from([*_WORDS.split(), b" ", b"\n", b"\x00", b"\x7f", b"\xff", b"\xc3\xa9"])
_VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 3),
    st.sampled_from([2**31 - 1, 2**31, 2**53 - 1, 2**53, 2**63, 2**64, -(2**63) - 1]),
    st.floats(allow_nan=False),
    st.text(max_size=3),
    st.sampled_from([63, 64, 65, 128, 129, 253, 254, 256, 257, 320, 321]).map(lambda length: "x" * length),
    st.sampled_from(
        "usage a/b 1.0 a@b a@b@c registered invited Admin upsert delete 2026-08-22T08:00:00Z 2026-08-22T08:00".split()
    ),
    st.sampled_from([["a"], [""], [1], [None], ["x" * 254], ["a"] * 101, ["a"] * 201, {}, {"a": [2**64]}, "a@b\n"]).map(
        deepcopy
    ),
)


def judged_alike(value: bytes, unknown: UnknownFields) -> None:
    """Check that the admission says what the restated contract says, to the last field."""
    verdict = directory_admission(unknown).admit(value, TIME_MS)
    expected = read_change(
        value, TIME_MS, ignore_unknown=unknown == "ignore", max_bytes=MAX_BYTES, max_ahead_ms=MAX_AHEAD_MS
    )
    happened("refused" if expected is None else f"admitted {expected.kind}")
    if expected is None:
        assert isinstance(verdict, Rejected), verdict
        assert verdict.detail
        return
    assert isinstance(verdict, DirectoryChange), verdict
    assert Thing[expected.kind.upper()] is verdict.thing
    assert (verdict.organization, verdict.subject) == (expected.organization, expected.subject)
    assert (verdict.version, verdict.time_ms) == (expected.version, expected.time_ms)
    record = None if verdict.record is None else decode_record(verdict.record)
    assert record == expected.record
    assert verdict.status == (record or {}).get("status")


UNKNOWN = st.sampled_from(["refuse", "ignore"])


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A good event in which some pieces of bytes are put in, cut out, doubled or exchanged."""
    whole = directory_event(draw(st.sampled_from(TYPES)))
    value = compact(whole) if draw(st.booleans()) else json.dumps(whole).encode()
    for _ in range(draw(st.integers(0, 2))):
        at = draw(st.integers(0, len(value)))
        to = min(len(value), at + draw(st.integers(0, 24)))
        part = draw(st.one_of(_PIECES, st.just(value[at:to] * 2), st.just(b""), st.binary(max_size=2)))
        value = value[:at] + part + value[to if draw(st.booleans()) else at :]
    return value


@given(value=st.one_of(mutated(), st.binary(max_size=40)), unknown=UNKNOWN)
def test_a_record_is_admitted_exactly_when_the_restated_contract_says_good(
    value: bytes, unknown: UnknownFields
) -> None:
    judged_alike(value, unknown)


@st.composite
def with_other_members(draw: st.DrawFn) -> bytes:
    """A good event, or a delete, with members exchanged, added or left out in the envelope and in `data`."""
    kind = draw(st.sampled_from(TYPES))
    event = directory_event(kind)
    if draw(st.integers(0, 3)) == 0:
        event["data"] = {"action": "delete", "version": 1}
    names = [*event, "dataschema", "teamid", "x"]
    event |= draw(st.dictionaries(st.sampled_from(names), _VALUES, max_size=1))
    if isinstance(event["data"], dict):
        known = [*DATA[kind], "action", "version", "name", "x"]
        event["data"] |= draw(st.dictionaries(st.sampled_from(known), _VALUES, max_size=2))
        for name in draw(st.sets(st.sampled_from(known), max_size=1)):
            event["data"].pop(name, None)
    text = json.dumps(event, ensure_ascii=draw(st.booleans()))
    return text.encode("utf-8", "surrogatepass")


@given(value=with_other_members(), unknown=UNKNOWN)
@example(compact(with_data("directory.user", email="ann@acme.example\n")), "refuse")
@example(compact(with_data("directory.license", settings={"a": 2**64})), "refuse")
def test_every_member_is_judged_as_the_restated_contract_judges_it(value: bytes, unknown: UnknownFields) -> None:
    judged_alike(value, unknown)
