"""Every error has the body of its family, whatever layer answers, and bounds are judged before the store is asked."""

from collections.abc import MutableMapping
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from query_api.app import create_app
from query_api.head_bounds import HEAD_BYTES_MAX, TARGET_BYTES_MAX
from services.counters import CounterStore, StoreRefused, StoreUnavailable
from services.memory_counters import MemoryCounterStore
from services.telemetry import Telemetry
from services.windows import HOUR_MS, rfc3339
from tests.support.api_in_process import NOW_HOUR, PARTITIONS, SETTINGS, Api, bearer

ORGANIZATION = "/api/v1/organization/usage"
ASKED = {
    "organizationId": "acme",
    "from": rfc3339((NOW_HOUR - 24) * HOUR_MS),
    "to": rfc3339(NOW_HOUR * HOUR_MS),
    "granularity": "daily",
}


def is_error_of_usage(response: httpx.Response) -> bool:
    body = response.json()
    return list(body) == ["error", "message", "status", "requestId", "details"] and body["status"] == (
        response.status_code
    )


def is_error_of_quota(response: httpx.Response) -> bool:
    body = response.json()
    (error,) = body["errors"]
    return (list(body), body["meta"], list(error), error["httpcode"]) == (
        ["meta", "errors"],
        {},
        ["httpcode", "message"],
        response.status_code,
    )


@pytest.mark.parametrize(
    "path", ["/organizations/quota/nothing", "/organizations/", "/organizations/%00", "/%6Frganizations/x"]
)
async def test_an_unknown_path_of_the_quota_family_is_404_in_the_envelope(api: Api, path: str) -> None:
    response = await api.get(path)
    assert response.status_code == 404
    assert is_error_of_quota(response)


@pytest.mark.parametrize(
    "path", ["/", "/organizations", "/organization/", "/x/organizations/", "/%ff%zz", "/%00", "/ü"]
)
async def test_any_other_unknown_path_is_404_in_the_usage_familys_body(api: Api, path: str) -> None:
    response = await api.get(path)
    assert response.status_code == 404
    assert is_error_of_usage(response)


def app_of(store: CounterStore) -> FastAPI:
    return create_app(store, SETTINGS, Telemetry("api"), clock=lambda: NOW_HOUR * HOUR_MS)


def client_of(app: FastAPI) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://api")


@pytest.fixture(scope="module")
def failing_app() -> FastAPI:
    """An app with one operation more, which fails as the number in its path says."""
    app = app_of(MemoryCounterStore(PARTITIONS))

    @app.get("/organizations/fails/{number}")
    async def fail(number: int) -> None:
        raise ERRORS[number][0]

    return app


ERRORS = [
    (RuntimeError("the password is hunter2"), 500),
    (ExceptionGroup("hunter2", [ValueError("hunter2")]), 500),
    (StoreRefused("hunter2"), 500),
    (StoreUnavailable("hunter2"), 503),
    (HTTPException(418, "hunter2"), 418),
    (RequestValidationError([{"loc": ("query", "limit"), "msg": "it must be a number", "type": "int"}]), 400),
]


@pytest.mark.parametrize("number", range(len(ERRORS)), ids=lambda number: type(ERRORS[number][0]).__name__)
async def test_an_error_of_the_quota_family_is_the_envelope_without_what_happened(
    failing_app: FastAPI, number: int, logged: list[MutableMapping[str, Any]]
) -> None:
    status = ERRORS[number][1]
    async with client_of(failing_app) as client:
        response = await client.get(f"/organizations/fails/{number}")
        posted = await client.post(f"/organizations/fails/{number}")
    assert response.status_code == status
    assert is_error_of_quota(response)
    assert "hunter2" not in response.text
    assert "Traceback" not in response.text
    assert response.headers.get("Retry-After") == ("1" if status == 503 else None)
    assert (posted.status_code, posted.headers["Allow"]) == (405, "GET")
    assert is_error_of_quota(posted)


@pytest.mark.parametrize("path", [ORGANIZATION, "/organizations/x", "/"])
async def test_a_long_target_and_long_headers_are_400_before_the_token_is_looked_at(api: Api, path: str) -> None:
    long_target = await api.client.get(f"{path}?a={'x' * TARGET_BYTES_MAX}")
    long_header = await api.client.get(path, headers={"X-Filler": "x" * HEAD_BYTES_MAX})
    many_headers = await api.client.get(path, headers=[("X-Filler", "x" * 100)] * 200)
    is_error = is_error_of_quota if path.startswith("/organizations/") else is_error_of_usage
    for response, limit in (
        (long_target, TARGET_BYTES_MAX),
        (long_header, HEAD_BYTES_MAX),
        (many_headers, HEAD_BYTES_MAX),
    ):
        assert response.status_code == 400
        assert is_error(response)
        assert f"more than {limit} bytes" in response.text


class Untouchable:
    """A store that must not be asked."""

    def __getattr__(self, name: str) -> object:
        raise AssertionError(f"the store was asked for {name}")


@pytest.fixture(scope="module")
def untouchable_app() -> FastAPI:
    return app_of(Untouchable())  # type: ignore[arg-type]


BEYOND = [
    ({"granularity": "hourly", "from": "2026-07-01T00:00:00Z", "to": "2026-08-01T01:00:00Z"}, "to"),
    ({"granularity": "daily", "from": "2025-01-01T00:00:00Z", "to": "2026-02-06T00:00:00Z"}, "to"),
    ({"granularity": "weekly", "from": "2020-01-01T00:00:00Z", "to": "2026-02-01T00:00:00Z"}, "to"),
    ({"granularity": "monthly", "from": "2020-01-01T00:00:00Z", "to": "2026-02-01T00:00:00Z"}, "to"),
    ({"granularity": "all", "from": "0002-01-01T00:00:00Z", "to": "9998-01-01T00:00:00Z"}, "to"),
    ({"from": "2026-02-30T00:00:00Z"}, "from"),
    ({"to": "9999-12-31T23:59:59Z"}, "to"),
    ({"to": ASKED["from"]}, "to"),
    ({"granularity": "minutely"}, "granularity"),
]


@pytest.mark.parametrize(("changes", "parameter"), BEYOND)
@pytest.mark.parametrize("path", [ORGANIZATION, "/api/v1/team/usage", "/api/v1/user/usage"])
async def test_a_range_beyond_its_bounds_is_refused_before_the_store_is_asked(
    untouchable_app: FastAPI, path: str, changes: dict[str, str], parameter: str
) -> None:
    asked = ASKED | {"teamId": "core", "userId": "ada"} | changes
    async with client_of(untouchable_app) as client:
        response = await client.get(path, params=asked, headers=bearer())
    assert response.status_code == 400
    assert is_error_of_usage(response)
    assert list(response.json()["details"]["parameters"]) == [parameter]


PAGED = {"offset": "0", "limit": "10", "teamMember": "true", "active": "true"}
UNREADABLE = [
    ("/api/v1/organization/users", PAGED | {"limit": "1001"}),
    ("/api/v1/organization/users", PAGED | {"limit": "-1"}),
    ("/api/v1/organization/users", PAGED | {"offset": "-1"}),
    ("/api/v1/organization/users", PAGED | {"offset": "9" * 5_000}),
    ("/api/v1/organization/users", PAGED | {"active": "perhaps"}),
    ("/api/v1/organization/teams", {"limit": "1e3"}),
    ("/api/v1/team/core/users", {"offset": "0", "limit": "1001"}),
    (f"/api/v1/team/{'x' * 129}", {}),
    (f"/api/v1/user/{'x' * 129}", {}),
    ("/api/v1/organization/account-utilizations", {"startDate": "2026-13"}),
    ("/api/v1/organization/account-utilizations", {"startDate": "2027-01"}),
    ("/api/v1/instance/permissions", {"role": "Emperor"}),
    ("/organizations/suborganizations", {"filter": "(" * 500}),
    ("/organizations/suborganizations", {"filter": 'name eq "' + "x" * 5_000 + '"'}),
]


@pytest.mark.parametrize(("path", "parameters"), UNREADABLE)
async def test_what_cannot_be_read_is_refused_before_the_store_is_asked(
    untouchable_app: FastAPI, path: str, parameters: dict[str, str]
) -> None:
    async with client_of(untouchable_app) as client:
        response = await client.get(path, params=parameters, headers=bearer() | {"SlashID-OrgID": "acme"})
    assert response.status_code == 400, response.text
    assert (is_error_of_quota if path.startswith("/organizations/") else is_error_of_usage)(response)


async def test_the_store_that_must_not_be_asked_would_be_noticed(
    untouchable_app: FastAPI, logged: list[MutableMapping[str, Any]]
) -> None:
    async with client_of(untouchable_app) as client:
        assert (await client.get(ORGANIZATION, params=ASKED, headers=bearer())).status_code == 500
