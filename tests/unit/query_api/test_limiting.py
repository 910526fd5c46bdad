"""Rate limits, counted in memory; `tests/integration/test_rate_limits.py` has them in Redis."""

import hashlib
from collections.abc import Mapping, MutableMapping
from typing import Any

import httpx
from fastapi import Depends, FastAPI, Request
from limits.aio.storage import MemoryStorage

from query_api.errors import install_error_handlers
from query_api.limiting import rate_check
from query_api.observing import Observing
from services.clock import now_ms
from services.identifiers import OrganizationId, UserId
from services.metrics_contract import CHAT
from services.rate_limits import Counted as Whose
from services.rate_limits import read_rates
from services.redis_rates import RateCounts
from services.settings import ApiSettings, Settings
from services.telemetry import Telemetry
from services.tokens import Claims, Role, issue_token, token_key
from services.windows import HOUR_MS, rfc3339
from tests.support.api_in_process import NOW_HOUR, SETTINGS, Api
from tests.support.counted import Counted, Use
from tests.unit.query_api.conftest import MakeApi

PATH = "/api/v1/organization/usage"


def limited(rate: str) -> Settings:
    return SETTINGS.model_copy(update={"api": ApiSettings(rate_limit=rate, request_timeout=60)})


def asked(organization: str) -> dict[str, str]:
    return {
        "organizationId": organization,
        "from": rfc3339((NOW_HOUR - 24) * HOUR_MS),
        "to": rfc3339(NOW_HOUR * HOUR_MS),
        "granularity": "daily",
    }


def token_of(user: str, organization: str = "acme") -> str:
    claims = Claims(subject=UserId(user), organization=OrganizationId(organization), role=Role.ADMIN)
    return issue_token(claims, token_key(SETTINGS.api), issued_s=now_ms() // 1000, lifetime_s=60)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def statuses(api: Api, headers: Mapping[str, str], times: int, organization: str = "acme") -> list[int]:
    return [(await api.get(PATH, asked(organization), headers)).status_code for _ in range(times)]


async def test_without_the_setting_nothing_is_limited(api: Api) -> None:
    assert await statuses(api, bearer(token_of("ada")), 30) == [404] * 30


async def test_a_request_over_the_rate_is_429_with_the_seconds_to_wait(make_api: MakeApi) -> None:
    api = make_api(settings=limited("2/day"))
    headers = bearer(token_of("ada"))
    assert await statuses(api, headers, 2) == [404, 404]
    response = await api.get(PATH, asked("acme"), headers)
    assert response.status_code == 429
    wait_s = int(response.headers["Retry-After"])
    assert 1 <= wait_s <= 86_400
    assert response.json() == {
        "error": "TOO_MANY_REQUESTS",
        "message": f"too many requests; try again in {wait_s} s",
        "status": 429,
        "requestId": response.headers["X-Request-ID"],
        "details": {},
    }


async def test_each_token_has_its_own_rate(make_api: MakeApi) -> None:
    api = make_api(settings=limited("1/day per token"))
    assert await statuses(api, bearer(token_of("ada")), 2) == [404, 429]
    assert await statuses(api, bearer(token_of("bob")), 2) == [404, 429]


async def test_all_tokens_of_an_organization_share_its_rate(make_api: MakeApi) -> None:
    api = make_api(settings=limited("2/day per organization"))
    assert await statuses(api, bearer(token_of("ada")), 1) == [404]
    assert await statuses(api, bearer(token_of("bob")), 2) == [404, 429]
    assert await statuses(api, bearer(token_of("ada", "other")), 1, "other") == [404]


async def test_what_a_tokens_rate_refuses_does_not_count_for_its_organization(make_api: MakeApi) -> None:
    api = make_api(settings=limited("1/day per token, 2/day per organization"))
    assert await statuses(api, bearer(token_of("ada")), 5) == [404, 429, 429, 429, 429]
    assert await statuses(api, bearer(token_of("bob")), 1) == [404]
    assert await statuses(api, bearer(token_of("cy")), 1) == [429]


async def test_a_request_without_a_valid_token_counts_for_nobody(make_api: MakeApi) -> None:
    api = make_api(settings=limited("1/day"))
    good = token_of("ada")
    forged = good[:-10] + "A" * 10
    for headers in ({}, bearer("nonsense"), bearer(forged)):
        assert await statuses(api, headers, 3) == [401] * 3
    assert await statuses(api, bearer(good), 2) == [404, 429]


async def test_a_request_that_is_wrong_in_itself_counts_too(make_api: MakeApi) -> None:
    api = make_api(settings=limited("1/day"))
    headers = bearer(token_of("ada"))
    assert (await api.get(PATH, {}, headers)).status_code == 400
    assert await statuses(api, headers, 1) == [429]


async def test_a_token_spelled_otherwise_is_the_same_token(make_api: MakeApi) -> None:
    api = make_api(settings=limited("1/day per token"))
    token = token_of("ada")
    assert await statuses(api, bearer(token), 1) == [404]
    # Padding is no part of what was signed, and is taken all the same.
    for authorization in (f"bearer {token}", f"BEARER {token}", f"Bearer {token}="):
        assert (await api.get(PATH, asked("acme"), {"Authorization": authorization})).status_code == 429


async def test_each_api_key_has_its_own_rate() -> None:
    check = rate_check("1/day per token", None)

    async def caller(request: Request) -> None:
        await check(request, Claims(subject=UserId("key"), organization=OrganizationId("acme"), role=Role.ADMIN))

    app = FastAPI()
    install_error_handlers(app)
    app.add_middleware(Observing, telemetry=Telemetry("api"))
    app.get("/", dependencies=[Depends(caller)])(lambda: "served")
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://api") as client:
        keys = ["first.key", "first.kez", "first.key"]
        found = [(await client.get("/", headers={"SlashID-API-Key": key})).status_code for key in keys]
    assert found == [200, 200, 429]


async def test_the_document_can_be_had_without_a_token_and_is_not_counted(make_api: MakeApi) -> None:
    api = make_api(settings=limited("1/day"))
    assert [(await api.get("/openapi.json", {}, {})).status_code for _ in range(3)] == [200] * 3


async def test_neither_token_nor_organization_can_be_read_from_what_is_stored_or_logged(
    logged: list[MutableMapping[str, Any]],
) -> None:
    storage = MemoryStorage()
    counts = RateCounts(storage, read_rates("1/day"))
    whose = {Whose.TOKEN: "a-secret-token", Whose.ORGANIZATION: "acme-corp"}
    assert await counts.wait_s(whose) == 0
    assert await counts.wait_s(whose) >= 1
    stored = repr(storage.storage) + repr(storage.expirations) + repr(logged)
    assert "a-secret-token" not in stored
    assert "acme-corp" not in stored
    digest = hashlib.blake2b(b"a-secret-token", digest_size=16).hexdigest()
    assert digest in stored


async def test_numbers_are_served_while_the_rate_is_kept(make_api: MakeApi, counted: Counted) -> None:
    api = make_api(settings=limited("1/day"))
    counted.add(Use(user="ada", hour=NOW_HOUR - 1, product=CHAT, amounts={"interactions": 1}))
    await counted.write(api.store)
    assert await statuses(api, bearer(token_of("ada")), 2) == [200, 429]


async def test_every_operation_of_the_document_is_limited_and_says_so(make_api: MakeApi) -> None:
    api = make_api(settings=limited("1/day"))
    document = (await api.get("/openapi.json", {}, {})).json()
    assert len(document["paths"]) == 17
    for number, (path, operations) in enumerate(document["paths"].items()):
        assert "Retry-After" in operations["get"]["responses"]["429"]["headers"]
        headers = bearer(token_of("ada", f"organization-{number}"))
        url = path.replace("{teamId}", "core").replace("{user_id}", "ada")
        assert (await api.get(url, {}, headers)).status_code in (200, 400, 404), path
        refused = await api.get(url, {}, headers)
        assert refused.status_code == 429, path
        assert ("errors" in refused.json()) is path.startswith("/organizations/")
