"""What the served document says of parameters must be what is enforced: clients and `make fuzz` are made from it."""

from typing import Any

import pytest

from tests.support.api_in_process import shared_app

ID = {"type": "string", "minLength": 1, "maxLength": 128, "pattern": r"^[^/\x00-\x1f\x7f-\x9f]+$"}
SAID = {
    "offset": {"type": "integer", "minimum": 0},
    "limit": {"type": "integer", "minimum": 0, "maximum": 1000},
    "startDate": {"type": "string", "pattern": r"^\d{4}-\d{2}$"},
    "filter": {"type": "string", "maxLength": 1000},
    "SlashID-OrgID": ID,
    "teamId": ID,
    "user_id": ID,
}
FOR_PEOPLE = {"title", "description", "default"}


def schemas(name: str) -> list[dict[str, Any]]:
    """Return the schemas of all parameters of a name, without what is for people."""
    operations = [operation for path in shared_app()[2].openapi()["paths"].values() for operation in path.values()]
    rows = [row for operation in operations for row in operation.get("parameters", ()) if row["name"] == name]
    return [{key: value for key, value in row["schema"].items() if key not in FOR_PEOPLE} for row in rows]


@pytest.mark.parametrize("name", SAID)
def test_a_parameter_is_of_one_type_and_says_its_bounds(name: str) -> None:
    found = schemas(name)
    assert found
    assert all(schema == SAID[name] for schema in found)
