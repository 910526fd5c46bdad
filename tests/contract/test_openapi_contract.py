"""The served OpenAPI document against both contracts, field by field: `query_api.additions` lists all that differs."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from query_api.additions import ADDITIONS
from query_api.app import create_app
from services.memory_counters import MemoryCounterStore
from services.settings import Settings
from services.telemetry import Telemetry
from tests.support.openapi_differences import Difference, Differences, Document

pytestmark = pytest.mark.contract

LISTED = [(where, what) for addition in ADDITIONS for where in addition.where for what in addition.what]


@pytest.fixture(scope="module")
def served() -> Document:
    settings = Settings()
    app = create_app(MemoryCounterStore(settings.topics.frames_partitions), settings, Telemetry("api"))
    document: Document = json.loads(json.dumps(app.openapi()))
    return document


@pytest.fixture(scope="module")
def contracts(shared_dir: Path) -> list[Document]:
    names = ("usage-metrics.yaml", "quota.yaml")
    return [yaml.safe_load((shared_dir / "contract" / name).read_text()) for name in names]


def operations(contract: Document) -> Iterator[tuple[str, str]]:
    """Yield (path, method) of what is to be served: of the usage-metrics contract that is what it tags v1."""
    for path, item in contract["paths"].items():
        for method, operation in item.items():
            if method != "parameters" and "delta" not in operation["tags"]:
                yield path, method


def found(served: Document, contracts: list[Document]) -> set[Difference]:
    return {
        difference
        for contract in contracts
        for path, method in operations(contract)
        for difference in Differences(served, contract).of_operation(path, method)
    }


def test_the_operations_are_the_contracts(served: Document, contracts: list[Document]) -> None:
    of_each = [list(operations(contract)) for contract in contracts]
    assert list(map(len, of_each)) == [13, 4]
    ours = [(path, method) for path, item in served["paths"].items() for method in item]
    assert sorted(ours) == sorted(each for of_one in of_each for each in of_one)


def test_the_document_differs_from_the_contracts_in_what_is_listed_and_in_nothing_else(
    served: Document, contracts: list[Document]
) -> None:
    differences = found(served, contracts)
    assert sorted(differences - set(LISTED)) == []
    assert sorted(set(LISTED) - differences) == []


def test_nothing_is_listed_twice_and_every_row_says_what_allows_it() -> None:
    assert [each for each, times in Counter(LISTED).items() if times > 1] == []
    for addition in ADDITIONS:
        assert addition.note
        assert addition.sentence.endswith(".")


def test_the_list_is_part_of_the_document(served: Document) -> None:
    rows = [(where, what) for row in served["x-additions"] for where in row["where"] for what in row["what"]]
    assert rows == LISTED
    for addition in ADDITIONS:
        assert f"- {addition.sentence} ({addition.note})\n" in served["info"]["description"]


QUOTA = ("paths", "/organizations/quota/usage", "get")
USAGE = ("paths", "/api/v1/organization/usage", "get")
SCHEMAS = ("components", "schemas")
NOTHING = object()


@pytest.mark.parametrize(
    ("place", "value", "difference"),
    [
        (("paths", "/api/v1/license"), NOTHING, ("GET /api/v1/license", "is missing")),
        ((*USAGE, "operationId"), "other", ("GET {usage}", "operationId other for getOrganizationUsage")),
        ((*USAGE, "security"), [], ("GET {usage}", "no security bearerAuth")),
        ((*QUOTA, "security"), [{"bearerAuth": []}], ("GET {quota}", "no security ApiKeyAuth")),
        (("components", "securitySchemes", "ApiKeyAuth", "name"), "Key", ("GET {quota}", "ApiKeyAuth: name Key")),
        ((*QUOTA, "parameters"), [], ("GET {quota}", "no parameter SlashID-OrgID in header")),
        ((*USAGE, "parameters", 1, "required"), False, ("GET {usage}", "parameter from is not required")),
        ((*USAGE, "parameters", 1, "in"), "header", ("GET {usage}", "parameter from in header")),
        ((*USAGE, "parameters", 1, "schema", "format"), NOTHING, ("GET {usage}", "parameter from: no format")),
        ((*USAGE, "parameters", 1, "schema", "type"), "integer", ("GET {usage}", "parameter from: type integer")),
        ((*USAGE, "responses", "404"), NOTHING, ("GET {usage}", "no status 404")),
        ((*USAGE, "responses", "418"), {}, ("GET {usage}", "status 418")),
        ((*USAGE, "responses", "200", "content"), {}, ("GET {usage}", "no application/json in 200")),
        ((*USAGE, "responses", "200", "headers", "Link"), {}, ("GET {usage}", "header Link in 200")),
        ((*SCHEMAS, "Team", "properties", "name"), NOTHING, ("schema Team", "no member name")),
        ((*SCHEMAS, "Team", "properties", "more"), {"type": "string"}, ("schema Team", "member more")),
        ((*SCHEMAS, "Team", "required"), ["id"], ("schema Team", "member name is not required")),
        ((*SCHEMAS, "Team", "type"), "array", ("schema Team", "type array")),
        (
            (*SCHEMAS, "Team", "properties", "usersCount", "minimum"),
            NOTHING,
            ("schema Team", "usersCount: no minimum"),
        ),
        (
            (*SCHEMAS, "UtilizationMonth", "properties", "month", "maximum"),
            12,
            ("schema UtilizationMonth", "month: maximum 12"),
        ),
        (
            (*SCHEMAS, "License", "properties", "exp", "format"),
            "int32",
            ("schema License", "exp: format int32"),
        ),
        (
            (*SCHEMAS, "TeamUser", "properties", "updatedAt"),
            {"type": "string", "format": "date-time"},
            ("schema TeamUser", "updatedAt: no nullable"),
        ),
        (
            (*SCHEMAS, "Next", "properties", "limit", "type"),
            "number",
            ("schema Next", "limit: type number"),
        ),
        (
            (*SCHEMAS, "Organization", "properties", "domains", "items", "type"),
            "integer",
            ("schema Organization", "domains[]: type integer"),
        ),
        ((*SCHEMAS, "AgentUsage", "properties", "linesAdded"), NOTHING, ("schema AgentUsage", "no member linesAdded")),
        ((*SCHEMAS, "Error", "properties", "error", "type"), "integer", ("schema Error", "error: type integer")),
        ((*SCHEMAS, "Granularity", "enum"), ["all"], ("schema Granularity", "enum without daily | weekly | monthly")),
        (
            (*SCHEMAS, "PricingTierConstraints", "properties", "name", "enum"),
            NOTHING,
            ("schema PricingTierConstraints", "name: no enum"),
        ),
    ],
)
def test_any_change_is_noticed(
    served: Document, contracts: list[Document], place: tuple[Any, ...], value: object, difference: Difference
) -> None:
    changed = json.loads(json.dumps(served))
    *path, last = place
    node = changed
    for part in path:
        node = node[part]
    if value is NOTHING:
        del node[last]
    else:
        node[last] = value
    where, what = difference
    assert (where.format(usage=USAGE[1], quota=QUOTA[1]), what) in found(changed, contracts) - set(LISTED)
