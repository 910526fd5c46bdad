"""The served OpenAPI document against the given contract: nothing missing, nothing changed, additions listed here."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from query_api.app import create_app
from services.memory_counters import MemoryCounterStore
from services.settings import Settings
from services.telemetry import Telemetry

pytestmark = pytest.mark.contract

PATHS = ["/api/v1/organization/usage", "/api/v1/team/usage", "/api/v1/user/usage"]

# Beyond the contract: 503 for a store that is away, 403 for a role that the policy refuses (ADR 0010), 404 where the
# later file dropped it, 304 for numbers at hand, 429 for rate limits, how fresh the numbers are, blocks of an hour, and
# the synonyms of granularities (notes A07).
EXTRA_STATUSES = {"304", "403", "429", "503"}
EXTRA_PARAMETERS = {("If-None-Match", "header")}
EXTRA_MEMBERS = {"asOf"}
EXTRA_GRANULARITIES = {"hourly"}
SYNONYMS = {"day", "week", "month", "hour"}

Document = dict[str, Any]


@pytest.fixture(scope="module")
def served() -> Document:
    settings = Settings()
    return create_app(MemoryCounterStore(settings.topics.frames_partitions), settings, Telemetry("api")).openapi()


@pytest.fixture(scope="module")
def contract(shared_dir: Path) -> Document:
    document: Document = yaml.safe_load((shared_dir / "contract" / "usage-metrics.yaml").read_text())
    return document


def resolved(document: Document, node: Document) -> Document:
    """Follow `$ref`, and lay the parts of `allOf` over each other."""
    if "$ref" in node:
        found = document
        for part in node["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        return resolved(document, found)
    if "allOf" in node:
        parts = [resolved(document, part) for part in node["allOf"]]
        return {
            "type": "object",
            "required": [name for part in parts for name in part.get("required", [])],
            "properties": {name: each for part in parts for name, each in part["properties"].items()},
        }
    return node


@pytest.mark.parametrize("path", PATHS)
def test_parameters_are_the_contracts(served: Document, contract: Document, path: str) -> None:
    def rows(document: Document) -> dict[tuple[str, str], Document]:
        parameters = [resolved(document, row) for row in document["paths"][path]["get"]["parameters"]]
        return {(row["name"], row["in"]): row for row in parameters}

    ours, theirs = rows(served), rows(contract)
    assert set(ours) == set(theirs) | EXTRA_PARAMETERS
    for key, row in theirs.items():
        assert ours[key]["required"] is row["required"]
        schema, expected = resolved(served, ours[key]["schema"]), row["schema"]
        assert (schema["type"], schema.get("format")) == (expected["type"], expected.get("format"))
        if "enum" in expected:
            assert set(schema["enum"]) == set(expected["enum"]) | EXTRA_GRANULARITIES | SYNONYMS


@pytest.mark.parametrize("path", PATHS)
def test_statuses_are_the_contracts(served: Document, contract: Document, path: str) -> None:
    ours, theirs = (set(document["paths"][path]["get"]["responses"]) for document in (served, contract))
    assert ours == theirs | EXTRA_STATUSES


@pytest.mark.parametrize("path", PATHS)
def test_the_answer_has_the_contracts_members(served: Document, contract: Document, path: str) -> None:
    def answer(document: Document) -> Document:
        response: Document = document["paths"][path]["get"]["responses"]["200"]
        schema: Document = response["content"]["application/json"]["schema"]
        return schema

    # The later file's block takes the place of the older one.
    contract["components"]["schemas"]["UsageContainer"]["properties"]["data"]["items"] = {
        "$ref": "#/components/schemas/UsageBlockUnified"
    }
    compare(served, answer(served), contract, answer(contract), path)


def test_the_error_body_is_the_later_files(served: Document, contract: Document) -> None:
    ours = served["components"]["schemas"]["Error"]
    assert list(ours["properties"]) == list(contract["components"]["schemas"]["Error"]["properties"])
    assert ours["required"] == list(ours["properties"])


# The two U-B members of the legacy agent are superseded by `agent`.
LEFT_OUT = {"agentChat", "agentAgent"}


def compare(served: Document, ours: Document, contract: Document, theirs: Document, where: str) -> None:
    ours, theirs = resolved(served, ours), resolved(contract, theirs)
    if theirs["type"] == "array":
        assert ours["type"] == "array", where
        compare(served, ours["items"], contract, theirs["items"], f"{where}[]")
    elif theirs["type"] == "object":
        expected = set(theirs["properties"]) - LEFT_OUT
        assert set(ours["properties"]) - EXTRA_MEMBERS == expected, where
        assert set(theirs.get("required", [])) <= set(ours["required"]), where
        for name in expected:
            compare(served, ours["properties"][name], contract, theirs["properties"][name], f"{where}.{name}")
    else:
        assert ours["type"] == theirs["type"], where
        assert ours.get("format") == theirs.get("format"), where
        assert ours.get("minimum") == theirs.get("minimum"), where
        if "enum" in theirs:
            assert set(ours["enum"]) == set(theirs["enum"]) | EXTRA_GRANULARITIES, where
