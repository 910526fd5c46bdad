import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.directory_admission import DirectoryAdmission
from ingest.verdicts import AdmissionRules, Rejected
from services.directory import DATA_CLASSES, Thing
from services.directory_fields import FIELDS, Kind
from services.directory_import import BadRow, GoodEvent, ImportRules, check_event, check_lines

pytestmark = pytest.mark.unit

NOW_MS = 1_795_000_000_000
RULES = ImportRules(unknown_fields="refuse", max_bytes=2_000, latest_ms=NOW_MS)
INGEST = DirectoryAdmission(AdmissionRules(ignore_unknown=False, max_bytes=2_000, max_age_ms=None, max_ahead_ms=0))
USER: dict[str, Any] = {
    "action": "upsert",
    "version": 7,
    "username": "Ada",
    "email": "ada@example.com",
    "role": "Admin",
    "verified": True,
    "status": "registered",
    "leads": ["core"],
}
GOOD: dict[str, Any] = {
    "specversion": "1.0",
    "id": "1",
    "source": "tests",
    "type": "directory.user",
    "time": "2026-08-22T08:00:00Z",
    "subject": "ada",
    "organizationid": "acme",
    "data": USER,
}
LICENSE: dict[str, Any] = GOOD | {
    "type": "directory.license",
    "data": {"action": "upsert", "version": 1, "exp": 2, "iat": 1, "settings": {"a": {"b": [1]}}},
}


def text(event: object) -> bytes:
    return json.dumps(event).encode()


def user(**data: Any) -> bytes:
    return text(GOOD | {"data": USER | data})


def bad(value: bytes) -> BadRow:
    checked = check_event(3, value, RULES)
    assert isinstance(checked, BadRow), checked
    return checked


def test_a_good_event_keeps_its_bytes_and_says_what_it_is_about() -> None:
    value = b"  " + user() + b" \r"
    assert check_event(3, value, RULES) == GoodEvent(3, Thing.USER, "acme", "ada", 7, value)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("value", "field", "words"),
    [
        (b"{", None, "no JSON: Expecting property name enclosed in double quotes, character 2"),
        (b"[]", None, "is no JSON object; give one whole event on each line"),
        (b'{"a":"\xff"}', None, "byte 6: invalid start byte"),
        (text(GOOD)[:-1] + b',"id":"2"}', "id", "comes twice in its object; take one out"),
        (text(GOOD | {"subject": "x" * 3_000}), None, "longer than 2000 bytes"),
        (text(GOOD | {"subject": "a/b"}), "subject", "give an id: 1 to 128 characters"),
        (text(GOOD | {"subject": "usage"}), "subject", "take another id than usage, account-utilizations"),
        (text(GOOD | {"subject": ""}), "subject", "give an id: 1 to 128 characters"),
        (text(GOOD | {"subject": 5}), "subject", "give an id: 1 to 128 characters"),
        (text(GOOD | {"time": "2026-08-22T08:00:00"}), "time", "add the offset from UTC"),
        (text(GOOD | {"time": "yesterday"}), "time", "not an RFC 3339 date-time such as"),
        (text(GOOD | {"time": "2027-08-22T08:00:00Z"}), "time", "lies ahead of now"),
        (text(GOOD | {"type": "directory.pet"}), "type", "give one of directory.organization, directory.team"),
        (text(GOOD | {"teamid": "core"}), "teamid", "is no field of directory.user; leave it out"),
        (
            text({name: GOOD[name] for name in GOOD if name != "organizationid"}),
            "organizationid",
            "is missing; give an",
        ),
        (text(GOOD | {"data": {"version": 1}}), "data.action", "is missing; give upsert or delete"),
        (text(GOOD | {"data": {"action": "delete"}}), "data.version", "is missing; give a whole number from 0 to"),
        (user(role="Boss"), "data.role", "give one of Admin, Manager, Member or TeamLead"),
        (user(email="ada"), "data.email", "not of the form name@domain"),
        (user(leads=["a", 7]), "data.leads[1]", "give a list of at most 200, each an id"),
        (user(version=-1), "data.version", "give a whole number from 0 to 9007199254740991"),
        (user(mood="good"), "data.mood", "is no field of directory.user; leave it out"),
        (user(username="\ud800"), "data.username", "half of a surrogate pair"),
        (text(LICENSE).replace(b"[1]", b"1e999"), "data.settings.a.b", "is no number that JSON can hold"),
        (text(LICENSE).replace(b"[1]", b"[" * 16 + b"]" * 16), None, "nested more than 16 deep"),
        (text(LICENSE).replace(b'"exp": 2', b'"exp": 1'), "data.exp", "not later than data.iat"),
        (
            text(GOOD | {"type": "directory.organization", "data": {"action": "delete", "version": 1}}),
            "organizationid",
            "not the subject",
        ),
    ],
)
def test_a_bad_event_is_told_with_its_line_field_and_remedy(value: bytes, field: str | None, words: str) -> None:
    row = bad(value)
    assert (row.line, row.field) == (3, field)
    assert words in row.remedy
    assert str(row).startswith(f"line 3, {field}: " if field else "line 3: ")


SPOILERS = st.sampled_from(
    [
        (b'"action"', b'"Action"'),
        (b'"ada"', b'"a\\u0064a"'),
        (b'"ada"', b'"ada", "subject": "bob"'),
        (b'"version": 7', b'"version": 7.0'),
        (b'"version": 7', b'"version": 7, "version": 7'),
        (b'"version": 7', b'"version": 1e2'),
        (b'"version": 7', b'"version": 99999999999999999999999'),
        (b"true", b"null"),
        (b"true", b"NaN"),
        (b'["core"]', b"null"),
        (b'["core"]', b'["core"'),
        (b'["core"]', b"[" * 20 + b"]" * 20),
        (b'"1.0"', b'"1.0", "settings": 1e999'),
        (b"Ada", b"\\ud800"),
        (b"Ada", b"\xff"),
        (b"Ada", b"\x00"),
        (b"2026", b"2029"),
        (b"acme", b"acme" * 40),
        (b"acme", b"acme" * 600),
        (b": ", b" :\t"),
    ]
)


@given(st.lists(SPOILERS, max_size=2))
def test_what_is_good_here_is_what_ingest_takes(spoilers: list[tuple[bytes, bytes]]) -> None:
    value = user()
    for old, new in spoilers:
        value = value.replace(old, new, 1)
    refused = isinstance(INGEST.admit(value, NOW_MS), Rejected)
    assert isinstance(check_event(1, value, RULES), BadRow) == refused, value


def test_lines_are_numbered_from_one_and_blank_ones_are_passed_over() -> None:
    checked = list(check_lines([b"", user(), b"  \r", b"{", user()], RULES))
    assert [(row.line, isinstance(row, GoodEvent)) for row in checked] == [(2, True), (4, False), (5, True)]


def test_unknown_fields_are_passed_over_where_the_settings_say_so() -> None:
    rules = ImportRules(unknown_fields="ignore", max_bytes=2_000, latest_ms=NOW_MS)
    assert isinstance(check_event(1, user(mood="good"), rules), GoodEvent)
    assert isinstance(check_event(1, user(mood=1).replace(b'"mood": 1', b'"mood": 1e999'), rules), BadRow)


def test_every_field_of_the_contract_has_a_kind_and_words() -> None:
    for thing, data in DATA_CLASSES.items():
        assert list(FIELDS[thing]) == [name for name in data.__struct_fields__ if name != "version"]
    kinds = {name: field.kind for field_of in FIELDS.values() for name, field in field_of.items()}
    assert {kinds[name] for name in ("verified", "seats", "leads", "settings", "name")} == set(Kind)
    assert not any(re.search("None|Expected", field.takes) for fields in FIELDS.values() for field in fields.values())
