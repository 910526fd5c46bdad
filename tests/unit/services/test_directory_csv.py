import json
from typing import Any

import pytest

from services.directory import Thing
from services.directory_csv import COLUMNS, KIND_OF, Defaults, check_table
from services.directory_fields import FIELDS
from services.directory_import import BadRow, GoodEvent, ImportRules

pytestmark = pytest.mark.unit

DEFAULTS = Defaults(version=1_795_000_000_000, time="2026-11-18T11:06:40Z")
RULES = ImportRules(unknown_fields="refuse", max_bytes=65_536, latest_ms=1_795_000_000_000)


def checked(*rows: str | bytes) -> list[GoodEvent | BadRow]:
    lines = [row if isinstance(row, bytes) else row.encode() for row in rows]
    return list(check_table(lines, RULES, DEFAULTS))


def event(header: str, row: str) -> dict[str, Any]:
    (good,) = checked(header, row)
    assert isinstance(good, GoodEvent), good
    found: dict[str, Any] = json.loads(good.value)
    return found


def told(*rows: str | bytes) -> list[tuple[int, str | None, str]]:
    found = checked(*rows)
    return [(row.line, row.field, row.remedy) for row in found if isinstance(row, BadRow)]


def test_a_row_becomes_an_event_with_the_files_version_and_time() -> None:
    assert event("type,organizationid,subject,name,parentId", "organization,eu,eu,Umbrella,acme") == {
        "specversion": "1.0",
        "id": "1795000000000-2",
        "source": "tidemark directory import",
        "type": "directory.organization",
        "time": DEFAULTS.time,
        "subject": "eu",
        "organizationid": "eu",
        "data": {"action": "upsert", "version": DEFAULTS.version, "name": "Umbrella", "parentId": "acme"},
    }


def test_cells_become_the_kinds_of_the_contract_and_empty_ones_nothing() -> None:
    header = "type,organizationid,subject,username,email,role,verified,status,teamId,leads,time,version,action"
    row = "directory.user,acme,ada,007,ada@x,Member,TRUE,invited,,core; tools,2026-01-31T23:00:00+01:00,12,upsert"
    found = event(header, row)
    assert found["time"] == "2026-01-31T23:00:00+01:00"
    assert found["data"] == {
        "action": "upsert",
        "version": 12,
        "username": "007",
        "email": "ada@x",
        "role": "Member",
        "verified": True,
        "status": "invited",
        "leads": ["core", "tools"],
    }


def test_settings_stand_in_the_event_as_they_stand_in_the_table_over_several_lines_too() -> None:
    rows = ["type,organizationid,subject,exp,iat,settings", 'license,acme,l,2,1,"{""a"":', '1.50}"']
    (good,) = checked(*rows)
    assert isinstance(good, GoodEvent)
    assert good.value.endswith(b'"settings":{"a":\n1.50}}}')


def test_a_delete_needs_nothing_but_the_id_and_drops_the_cells_of_the_record() -> None:
    found = event("type,organizationid,subject,action,name", "team,acme,core,delete,Core")
    assert found["data"] == {"action": "delete", "version": DEFAULTS.version}


def test_a_spreadsheets_byte_order_mark_carriage_returns_and_empty_rows_do_no_harm() -> None:
    rows = [
        b"\xef\xbb\xbftype, organizationid ,subject,name\r",
        b"group,acme,g,G\r",
        b",,,\r",
        b"\r",
        b'group,acme,h,"H"\r',
    ]
    found = checked(*rows)
    assert [(row.line, row.subject) for row in found if isinstance(row, GoodEvent)] == [(2, "g"), (5, "h")]


@pytest.mark.parametrize(
    ("header", "field", "words"),
    [
        ("type", None, "no header"),
        ("type;organizationid;subject", None, "with commas between them"),
        ("type,organizationid,subject,colour", "colour", "is no column; take it out, there are type, organizationid"),
        ("type,organizationid,subject,teamid", "teamid", "did you mean teamId?"),
        ("type,organizationid,subject,", "column 4", "is no column"),
        ("type,organizationid,subject,name,name", "name", "is there twice"),
        ("type,organizationid,name", "subject", "is missing; every table has this column"),
    ],
)
def test_a_wrong_header_is_told_and_no_row_is_looked_at(header: str, field: str | None, words: str) -> None:
    ((line, found, remedy),) = told(header, "group,acme,g,G")
    assert (line, found) == (1, field)
    assert words in remedy


@pytest.mark.parametrize(
    ("row", "field", "words"),
    [
        ("user,acme,ada,,", "username", "is missing; give 1 to 256 characters"),
        ("pet,acme,rex,,", "type", "give one of directory.organization"),
        (",acme,rex,,", "type", "is missing; give one of directory.organization"),
        ("team,acme,core,ada,", "username", "is no field of directory.team; leave it out"),
        ("license,acme,l,,{}", "exp", "is missing; give a whole number"),
        ("group,acme,g", None, "has 3 cells, but the header 5"),
        ("group,acme,g,,,,", None, "has 7 cells, but the header 5"),
    ],
)
def test_a_bad_row_is_told_by_its_column(row: str, field: str | None, words: str) -> None:
    ((line, found, remedy),) = told("type,organizationid,subject,username,settings", row)
    assert (line, found) == (2, field)
    assert words in remedy


@pytest.mark.parametrize(
    ("column", "cell", "words"),
    [
        ("exp", "1.5", "give a whole number from 0 to"),
        ("exp", "soon", "give a whole number from 0 to"),
        ("exp", "9" * 30, "give a whole number from 0 to"),
        ("version", "v2", "give a whole number from 0 to"),
        ("action", "remove", "give upsert or delete"),
        ("settings", "none", "give a JSON object"),
        ("settings", "[1]", "give a JSON object"),
        ("settings", '"{},""x"":1"', "give a JSON object"),
        ("settings", '"{""a"":1,""a"":2}"', "comes twice"),
    ],
)
def test_a_cell_of_the_wrong_kind_is_told_with_what_it_takes(column: str, cell: str, words: str) -> None:
    cells = {"exp": "2", "iat": "1"} | {column: cell}
    header = ",".join(["type,organizationid,subject", *cells])
    ((_, field, remedy),) = told(header, ",".join(["license,acme,l", *cells.values()]))
    assert field is not None
    assert field.startswith(column)
    assert words in remedy


def test_rows_after_a_bad_one_are_checked_too() -> None:
    found = checked("type,organizationid,subject,name", "group,acme,g,", "group,acme,h,H", "grop,acme,g,G")
    assert [isinstance(row, GoodEvent) for row in found] == [False, True, False]


def test_a_table_that_cannot_be_read_on_ends_with_where_and_why() -> None:
    header = "type,organizationid,subject,name"
    ((line, field, remedy),) = told(header, "group,acme,g,G", b"group,acme,h,\xe9", "group,acme,i,I")
    assert (line, field, remedy) == (3, None, "byte 14 is no UTF-8; save the table as UTF-8")
    ((line, field, remedy),) = told(header, "group,acme,g,G", 'group,acme,h,"H', "group,acme,i,I")
    assert (line, field) == (3, None)
    assert "no CSV from here on (unexpected end of data)" in remedy


def test_the_same_thing_twice_with_one_version_is_refused_since_only_the_first_would_hold() -> None:
    header = "type,organizationid,subject,name,version,time"
    same = told(header, "group,acme,g,G,,", "group,acme,h,G,,", "group,acme,g,H,,")
    assert [(line, field, remedy[:12]) for line, field, remedy in same] == [(4, "subject", "is in line 2")]
    rows = ("group,acme,g,G,1", "group,acme,g,H,2", "team,acme,g,G,1", "group,eu,g,G,1")
    assert told(header, *(f"{row},2026-01-01T00:00:00Z" for row in rows)) == []


def test_a_version_without_its_time_is_refused_since_an_old_one_would_stand_at_the_months_end() -> None:
    ((line, field, remedy),) = told("type,organizationid,subject,name,version,time", "group,acme,g,G,7,")
    assert (line, field, remedy) == (2, "time", "is empty beside a version; say when the change was")


def test_every_field_has_a_column_and_one_kind_whatever_the_type() -> None:
    for thing in Thing:
        for name, field in FIELDS[thing].items():
            assert KIND_OF[name] is field.kind
    assert len(set(COLUMNS)) == len(COLUMNS)


def test_blanks_around_a_cell_are_none_of_it() -> None:
    header = "type, organizationid, subject, username, email, role, verified, status, teamId, leads"
    row = 'user, acme,ada , Ada Abara ,ada@x, Member, true,"registered ",  ,core ; docs'
    found = event(header, row)
    assert (found["organizationid"], found["subject"]) == ("acme", "ada")
    data = found["data"]
    assert (data["username"], data["role"], data["verified"], data["status"]) == (
        "Ada Abara",
        "Member",
        True,
        "registered",
    )
    assert "teamId" not in data
    assert data["leads"] == ["core", "docs"]
    assert checked(header, " , ,,,,,,,,") == []
