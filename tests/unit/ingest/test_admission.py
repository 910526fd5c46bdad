import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.admission import Admission, Admitted, Rejected
from services.events import UnknownFields
from services.metrics_contract import PRODUCTS
from tests.unit.ingest.good_events import (
    DATA,
    MAX_AGE_MS,
    MAX_AHEAD_MS,
    TIME_MS,
    admission,
    compact,
    event,
)
from tests.unit.ingest.strict_reference import is_good


def admitted(value: bytes, judge: Admission | None = None) -> Admitted:
    verdict = (judge or admission()).admit(value, TIME_MS)
    assert isinstance(verdict, Admitted), verdict
    return verdict


@pytest.mark.parametrize("product", PRODUCTS, ids=lambda product: product.name)
def test_a_good_event_of_every_type_gives_its_numbers_in_the_contracts_order(product: Any) -> None:
    data = DATA[product.event_type]
    verdict = admitted(compact(event(type=product.event_type, data=data)))
    assert verdict.product == product.code
    numbers = msgspec.structs.astuple(verdict.event.data)[: len(product.counters)]
    assert numbers == tuple(data.get(name, -1) for name in product.counters)


def test_what_is_admitted_carries_who_and_when() -> None:
    product, seen, time_ms = admitted(compact(event()))
    assert PRODUCTS[product].event_type == "usage.chat"
    assert (seen.id, seen.source, seen.subject, seen.organizationid, seen.teamid) == (
        "e-1",
        "/ide/vscode",
        "user-1",
        "org-1",
        "team-1",
    )
    assert time_ms == TIME_MS


@pytest.mark.parametrize(
    "value",
    [
        compact(event("teamid")),
        compact(event(teamid=None)),
        compact(event(data={})),
        compact(event(data={"language": ""})),
        compact(event(datacontenttype="application/json", dataschema="s", traceparent="t", tracestate=None)),
        json.dumps(event(subject="Zoë Ωmega", id='a"b\\c'), indent=2).encode(),
        compact(event(subject="é" * 128, id="😀" * 256, source="ö" * 256)),
        compact(event(subject="a b%2F{c}:*")),
        compact(event(data={"interactions": 0, "language": "😀" * 64})),
        compact(event()).replace(b'"interactions":1', b'"interactions":-0'),
        compact(event()).replace(b'"subject"', b'"\\u0073ubject"'),
        b"\t\r\n " + compact(event()) + b" ",
    ],
)
def test_unusual_but_good_records_are_admitted(value: bytes) -> None:
    admitted(value)


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("2026-08-22T08:00:00Z", 0),
        ("2026-08-22t08:00:00z", 0),
        ("2026-08-22T08:00:00-00:00", 0),
        ("2026-08-22T10:00:00+02:00", 0),
        ("2026-08-21T08:01:00-23:59", 0),
        ("2026-08-22T08:00:00.1Z", 100),
        ("2026-08-22T08:00:00.12Z", 120),
        ("2026-08-22T08:00:00.123Z", 123),
        ("2026-08-22T08:00:00.123999Z", 123),
        ("2026-08-22T13:30:00.999999999+05:30", 999),
        ("2026-08-22T08:00:00." + "9" * 60 + "Z", 999),
        ("2026-08-22T08:00:59.000000Z", 59_000),
    ],
)
def test_time_is_read_by_rfc_3339_and_rounded_down(text: str, milliseconds: int) -> None:
    judge = admission()
    for _ in range(2):
        assert admitted(compact(event(time=text)), judge).time_ms == TIME_MS + milliseconds


def test_unknown_fields_are_passed_over_when_the_setting_says_so() -> None:
    value = compact(event(tenant={"a": [1, 2.5, None]}, data={"interactions": 1, "hats": 2}))
    assert isinstance(admission().admit(value, TIME_MS), Rejected)
    assert msgspec.structs.astuple(admitted(value, admission("ignore")).event.data)[0] == 1


def test_what_is_remembered_changes_no_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest.admission.REMEMBERED_MAX", 3)
    monkeypatch.setattr("ingest.time_reader.MINUTES_MAX", 2)
    monkeypatch.setattr("ingest.time_reader.RESTS_MAX", 2)
    judge = admission()
    for number in range(20):
        text = f"2026-08-22T07:{number:02}:{number:02}.{number:03}+00:{number:02}"
        value = compact(event(subject=f"u{number}", source=f"s{number}", organizationid=f"o{number % 3}", time=text))
        for _ in range(2):
            expected = TIME_MS - 3_600_000 + number * 1_001
            assert admitted(value, judge).time_ms == expected
    assert isinstance(judge.admit(compact(event(subject="usage")), TIME_MS), Rejected)


KINDS: tuple[UnknownFields, ...] = ("refuse", "ignore")
JUDGES = {kind: admission(kind) for kind in KINDS}
LIFTED = admission(max_age_ms=None)

_WORDS = rb"""
    " \ \u0069 { } [ ] , : 0 - 1e3 1.0 NaN 1e400 null true "" / \ud800 usage Z +02:00 9999999999 .5 60 2
    "id":"e-1", "teamid":null, "type":"usage.agent", "language":"", "lines":1, "x":[{}], "x":{"y":1,"y":1},
    "\u0069d":"e-1", "":0,
"""
_PIECES = st.sampled_from([*_WORDS.split(), b" ", b"\n", b"\x00", b"\x7f", b"\xff", b"\xc3\xa9"])


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A good event in which some pieces of bytes are put in, cut out, doubled or exchanged."""
    kind = draw(st.sampled_from(sorted(DATA)))
    whole = event(type=kind, data=DATA[kind])
    value = compact(whole) if draw(st.booleans()) else json.dumps(whole).encode()
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(value)))
        to = min(len(value), at + draw(st.integers(0, 24)))
        part = draw(st.one_of(_PIECES, st.just(value[at:to] * 2), st.just(b""), st.binary(max_size=2)))
        value = value[:at] + part + value[to if draw(st.booleans()) else at :]
    return value


_VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 3),
    st.integers(2**31 - 2, 2**31 + 1),
    st.floats(allow_nan=False),
    st.text(max_size=3),
    st.text(min_size=62, max_size=66),
    st.sampled_from(
        ["usage", "a/b", "1.0", "usage.chat", "usage.agent", "2026-08-22T08:00:00Z", "2026-08-22T08:00:00"]
    ),
    st.just([]),
    st.just({}),
)
_NAMES = st.sampled_from(
    "specversion id source type time subject organizationid teamid dataschema data".split()
    + "interactions lines language ide x".split()
)


@st.composite
def doubled_members(draw: st.DrawFn) -> bytes:
    """A good event with members added, also equal ones, at any place of the envelope or of `data`."""
    kind = draw(st.sampled_from(sorted(DATA)))
    envelope = [(name, value) for name, value in event(type=kind).items() if name != "data"]
    data = list(DATA[kind].items())
    added = st.lists(st.tuples(_NAMES, _VALUES), max_size=2)
    repeated = draw(st.lists(st.sampled_from(envelope), max_size=1))
    envelope = draw(st.permutations(envelope + repeated + draw(added)))
    data = draw(st.permutations(data + draw(added)))
    ascii_only = draw(st.booleans())
    space = draw(st.sampled_from(["", " "]))

    def text(pairs: list[tuple[str, Any]]) -> str:
        members = (json.dumps(name) + ":" + space + json.dumps(part, ensure_ascii=ascii_only) for name, part in pairs)
        return ",".join(members)

    return f'{{{text(envelope)},"data":{{{text(data)}}}}}'.encode("utf-8", "surrogatepass")


@given(value=st.one_of(mutated(), doubled_members(), st.binary(max_size=40)), unknown=st.sampled_from(KINDS))
def test_a_record_is_admitted_exactly_when_the_strict_reference_says_good(value: bytes, unknown: UnknownFields) -> None:
    verdict = JUDGES[unknown].admit(value, TIME_MS)
    expected = is_good(
        value,
        TIME_MS,
        ignore_unknown=unknown == "ignore",
        max_age_ms=MAX_AGE_MS,
        max_ahead_ms=MAX_AHEAD_MS,
    )
    assert isinstance(verdict, Admitted) == expected, verdict
    if isinstance(verdict, Rejected):
        fresh = admission(unknown).admit(value, TIME_MS)
        assert fresh == verdict


@given(
    time=st.one_of(
        st.datetimes().map(lambda moment: moment.isoformat() + "Z"),
        st.from_regex(r"\A2026-08-2[0-2][Tt ]0[78]:[0-5]9:[0-6]0(\.[0-9]{0,7})?([Zz]|[+-][0-2][0-9]:?[0-9]{2})?\Z"),
    )
)
def test_times_are_admitted_exactly_when_the_strict_reference_says_good(time: str) -> None:
    value = compact(event(time=time))
    verdict = LIFTED.admit(value, TIME_MS)
    good = is_good(value, TIME_MS, ignore_unknown=False, max_age_ms=None, max_ahead_ms=MAX_AHEAD_MS)
    assert isinstance(verdict, Admitted) == good, verdict
