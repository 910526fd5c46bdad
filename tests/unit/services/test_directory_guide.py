import re
from pathlib import Path

import pytest

from services.directory import EVENT_TYPES, Thing
from services.directory_csv import SHARED, Defaults, check_table
from services.directory_fields import FIELDS, VERSION
from services.directory_import import GoodEvent, ImportRules, check_event

pytestmark = pytest.mark.unit

GUIDE = (Path(__file__).parents[3] / "deploy" / "docs" / "directory.md").read_text()
NOW_MS = 1_795_000_000_000
RULES = ImportRules(unknown_fields="refuse", max_bytes=65_536, latest_ms=NOW_MS)


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", GUIDE, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("thing", Thing)
def test_the_guide_has_every_field_of_a_type_with_its_limits(thing: Thing) -> None:
    _, _, rest = GUIDE.partition(f"### {EVENT_TYPES[thing]}\n")
    section = rest.partition("\n##")[0]
    told = re.findall(r"^\| `(\w+)` \| (yes|no) \| (.*?) \|", section, re.MULTILINE)
    assert told == [(name, "yes" if field.required else "no", field.takes) for name, field in FIELDS[thing].items()]


def test_the_guide_tells_the_version_and_the_columns_of_a_table() -> None:
    assert VERSION.takes in GUIDE
    assert all(f"`{column}`" in GUIDE for column in SHARED)


def test_the_events_that_the_guide_shows_are_good() -> None:
    (event,) = blocks("json")
    assert isinstance(check_event(1, event.encode(), RULES), GoodEvent)


def test_the_tables_that_the_guide_shows_are_good() -> None:
    (table,) = blocks("csv")
    rows = list(check_table(table.encode().splitlines(), RULES, Defaults(version=1, time="2026-08-22T08:00:00Z")))
    assert [type(row) for row in rows] == [GoodEvent] * 5
