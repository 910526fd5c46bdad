from pathlib import Path

import pytest

from services.cli.schema import Contract, schema_text
from services.directory import EVENT_TYPES, json_schema

SCHEMA = Path(__file__).parents[3] / "deploy" / "docs" / "directory-event.schema.json"

pytestmark = pytest.mark.unit


def test_the_committed_json_schema_of_directory_events_is_current() -> None:
    command = "tidemark schema directory --out deploy/docs/directory-event.schema.json"
    assert SCHEMA.read_text() == schema_text(Contract.DIRECTORY), f"run: {command}"


def test_the_schema_has_every_type_and_tells_an_upsert_from_a_delete() -> None:
    schema = json_schema()
    assert set(schema["discriminator"]["mapping"]) == set(EVENT_TYPES.values())
    data = schema["$defs"]["UserEvent"]["properties"]["data"]
    assert set(data["discriminator"]["mapping"]) == {"upsert", "delete"}
    assert schema["$defs"]["DeleteData"]["required"] == ["action", "version"]
