import re
from collections.abc import MutableMapping
from typing import Any

import pytest

from services.counters import StoreRefused, StoreUnavailable
from services.metrics_contract import CHAT
from services.windows import HOUR_MS, rfc3339
from tests.support.api_in_process import NOW_HOUR, Api, bearer
from tests.support.counted import Counted, Use
from tests.unit.query_api.conftest import MakeApi

PATH = "/api/v1/organization/usage"
ASKED = {
    "organizationId": "acme",
    "from": rfc3339((NOW_HOUR - 24) * HOUR_MS),
    "to": rfc3339(NOW_HOUR * HOUR_MS),
    "granularity": "daily",
}
MEMBERS = ["error", "message", "status", "requestId", "details"]


def failing(api: Api, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    async def read(*_: object) -> None:
        raise error

    monkeypatch.setattr(api.store, "read", read)


@pytest.mark.parametrize("name", ["organizationId", "from", "to", "granularity"])
async def test_a_missing_parameter_is_a_400_that_names_it(api: Api, name: str) -> None:
    response = await api.get(PATH, {key: value for key, value in ASKED.items() if key != name})
    assert response.status_code == 400
    assert list(response.json()) == MEMBERS
    assert response.json()["details"] == {"parameters": {name: "Field required"}}


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"granularity": "yearly"}, "granularity"),
        ({"granularity": "Daily"}, "granularity"),
        ({"organizationId": ""}, "organizationId"),
        ({"organizationId": "a/b"}, "organizationId"),
        ({"organizationId": "a\nb"}, "organizationId"),
        ({"organizationId": "a" * 129}, "organizationId"),
        ({"from": "yesterday"}, "from"),
        ({"from": "2026-09-11T00:00:00"}, "from"),
        ({"to": ASKED["from"]}, "to"),
    ],
)
async def test_a_malformed_parameter_is_a_400_that_names_it(api: Api, changes: dict[str, str], name: str) -> None:
    response = await api.get(PATH, ASKED | changes)
    assert response.status_code == 400
    assert list(response.json()["details"]["parameters"]) == [name]


async def test_a_user_id_cannot_reach_into_the_index(api: Api, counted: Counted) -> None:
    counted.add(Use(user="ada", hour=NOW_HOUR, product=CHAT, amounts={"interactions": 1}))
    await counted.write(api.store)
    response = await api.get("/api/v1/user/usage", ASKED | {"userId": "/count"})
    assert response.status_code == 400


async def test_a_parameter_given_twice_is_a_400_that_names_it(api: Api) -> None:
    for path, name in (("/api/v1/organization/usage", "granularity"), ("/organizations/quota/all-tiers", "any")):
        response = await api.get(f"{path}?{name}=daily&{name}=all")
        assert response.status_code == 400
        assert f"{name}: it is given more than once" in response.text


async def test_a_plus_that_became_a_space_is_explained(api: Api) -> None:
    url = f"{PATH}?organizationId=acme&from=2026-09-11T00:00:00+02:00&to=2026-09-12T00:00:00Z&granularity=daily"
    response = await api.client.get(url, headers=bearer())
    assert response.status_code == 400
    assert "%2B" in response.json()["message"]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": ""},
        {"Authorization": "Bearer"},
        {"Authorization": "Basic YTpi"},
        {"Authorization": "Bearer not.a.token"},
        {"Authorization": f"Bearer {'x' * 9000}"},
    ],
)
async def test_without_a_valid_token_it_is_401_with_a_challenge(api: Api, headers: dict[str, str]) -> None:
    response = await api.get(PATH, ASKED, headers)
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"].startswith('Bearer realm="tidemark"')
    assert (response.json()["error"], response.json()["status"]) == ("UNAUTHORIZED", 401)


async def test_two_tokens_are_refused(api: Api) -> None:
    token = bearer()["Authorization"]
    headers = [("Authorization", token), ("Authorization", token)]
    assert (await api.client.get(PATH, params=ASKED, headers=headers)).status_code == 401


async def test_a_token_is_asked_for_before_parameters_are_judged(api: Api) -> None:
    assert (await api.get(PATH, {}, {})).status_code == 401


@pytest.mark.parametrize("path", ["/", "/api/v1/organization/usage/", "/api/v1/nothing", "/docs", "/healthz", "//"])
async def test_an_unknown_route_is_404_with_the_body(api: Api, path: str) -> None:
    response = await api.get(path)
    assert response.status_code == 404
    assert list(response.json()) == MEMBERS


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"])
async def test_another_method_is_405_with_allow(api: Api, method: str) -> None:
    response = await api.client.request(method, PATH)
    assert response.status_code == 405
    assert response.headers["Allow"] == "GET"


async def test_a_store_that_is_away_is_503_with_retry_after(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    failing(api, monkeypatch, StoreUnavailable("Redis is away: secret-host:6379"))
    response = await api.get(PATH, ASKED)
    assert (response.status_code, response.headers["Retry-After"]) == (503, "1")
    assert "secret-host" not in response.text


async def test_a_bug_is_logged_once_with_its_traceback(
    api: Api, monkeypatch: pytest.MonkeyPatch, logged: list[MutableMapping[str, Any]]
) -> None:
    failing(api, monkeypatch, RuntimeError("bug"))
    await api.get(PATH, ASKED)
    (line,) = logged
    assert (line["event"], line["route"], line["exc_info"]) == ("request_failed", PATH, True)


@pytest.mark.parametrize("error", [StoreRefused("the password is hunter2"), RuntimeError("the password is hunter2")])
async def test_anything_else_is_500_without_what_happened(
    api: Api, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    failing(api, monkeypatch, error)
    response = await api.get(PATH, ASKED, {**bearer(), "X-Request-ID": "abc-1"})
    assert response.status_code == 500
    assert response.json()["requestId"] == "abc-1"
    assert "hunter2" not in response.text
    assert list(response.json()) == MEMBERS


async def test_the_callers_request_id_comes_back(api: Api) -> None:
    response = await api.get(PATH, {}, {"X-Request-ID": "Trace-42"})
    assert response.headers["X-Request-ID"] == response.json()["requestId"] == "Trace-42"


@pytest.mark.parametrize("given", ["", "a b", "ü", "x" * 65, "a\tb", "<script>", "a_b"])
async def test_what_is_no_request_id_is_replaced(api: Api, given: str) -> None:
    response = await api.client.get(PATH, headers={b"X-Request-ID": given.encode()})
    assert re.fullmatch("[0-9a-f]{32}", response.headers["X-Request-ID"])


async def test_requests_are_counted_by_route_template_and_status(
    make_api: MakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = make_api()
    failing(api, monkeypatch, RuntimeError("bug"))
    await api.get(PATH, ASKED)
    await api.get(PATH, {}, {})
    await api.get("/secret/path")
    page = api.telemetry.exposition()[1].decode()
    for labels in (f'route="{PATH}",status="500"', f'route="{PATH}",status="401"', 'route="none",status="404"'):
        assert f"tidemark_api_requests_total{{{labels}}} 1.0" in page
    assert "secret" not in page


async def test_openapi_says_what_the_contract_says(api: Api) -> None:
    document = (await api.get("/openapi.json", {}, {})).json()
    expected = {
        PATH: (
            "getOrganizationUsage",
            ["200", "304", "400", "401", "403", "404", "429", "500", "503"],
            ["organizationId"],
        ),
        "/api/v1/team/usage": (
            "getTeamUsage",
            ["200", "304", "400", "401", "403", "404", "429", "500", "503"],
            ["organizationId", "teamId"],
        ),
        "/api/v1/user/usage": (
            "getUserUsage",
            ["200", "304", "400", "401", "403", "404", "429", "500", "503"],
            ["organizationId", "userId"],
        ),
    }
    for path, (operation_id, statuses, ids) in expected.items():
        operation = document["paths"][path]["get"]
        assert operation["operationId"] == operation_id
        assert sorted(operation["responses"]) == statuses
        *asked, tag = operation["parameters"]
        assert [row["name"] for row in asked] == [*ids, "from", "to", "granularity"]
        assert all(row["required"] and row["in"] == "query" for row in asked)
        assert (tag["name"], tag["in"], tag["required"]) == ("If-None-Match", "header", False)
        assert operation["security"] == [{"bearerAuth": []}]
        assert_answers(operation["responses"])
    assert "HTTPValidationError" not in document["components"]["schemas"]
    assert document["components"]["securitySchemes"]["bearerAuth"]["scheme"] == "bearer"


def assert_answers(responses: dict[str, Any]) -> None:
    for status, response in responses.items():
        assert "X-Request-ID" in response["headers"]
        if status not in {"200", "304"}:
            schema = response["content"]["application/json"]["schema"]
            assert schema == {"$ref": "#/components/schemas/Error"}
    for status in ("200", "304"):
        assert {"Tidemark-As-Of", "ETag"} <= set(responses[status]["headers"])
    assert "content" not in responses["304"]
    assert "WWW-Authenticate" in responses["401"]["headers"]
    for status in ("429", "503"):
        assert "Retry-After" in responses[status]["headers"]


async def test_openapi_schemas_have_the_contracts_members(api: Api) -> None:
    schemas = (await api.get("/openapi.json", {}, {})).json()["components"]["schemas"]
    block = schemas["UsageBlock"]
    assert {"from", "to", "activeUsers"} <= set(block["required"])
    assert "productivityFactor" not in block["required"]
    assert block["properties"]["productivityFactor"]["type"] == "number"
    assert block["properties"]["from"]["format"] == "date-time"
    members = {
        "CodeCompletions": {
            "activeUsers", "completions", "charsCompleted", "keystrokes", "lines", "automationFactor",
        },
        "ChatUsage": {
            "activeUsers", "interactions", "usefulChatInteractions", "lines", "charsCompleted", "chatConsumptionRate",
        },
        "AgentUsage": {
            "activeUsers", "interactions", "linesAdded", "linesAddedAccepted", "linesRemoved", "linesRemovedAccepted",
        },
        "InstructUsage": {"acceptedCount"},
        "UsageBlock": {
            "from", "to", "complete", "activeUsers", "productivityFactor", "codeCompletions", "chat", "agent",
            "instruct",
        },
        "UsageContainer": {"granularity", "data"},
        "OrgUsageResponse": {"organizationId", "from", "to", "usage", "asOf"},
        "TeamUsageResponse": {"organizationId", "teamId", "from", "to", "usage", "asOf"},
        "UserUsageResponse": {"organizationId", "userId", "from", "to", "usage", "asOf"},
        "Error": {"error", "message", "status", "requestId", "details"},
    }  # fmt: skip
    for name, expected in members.items():
        assert set(schemas[name]["properties"]) == expected, name
