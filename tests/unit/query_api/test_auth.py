"""Who calls: what the two families take, over the apps' own answers and one route of the quota family."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated, Any

import httpx
import pytest
from fastapi import Depends, FastAPI

from query_api.auth import callers
from query_api.errors import install_error_handlers
from query_api.jwks import KeyAddress
from query_api.observing import Observing
from query_api.verifying import TokenVerifier, token_verifier
from services.api_keys import ApiKey, NewKey, make_key
from services.counters import StoreUnavailable
from services.identifiers import OrganizationId
from services.memory_api_keys import MemoryApiKeyStore
from services.telemetry import Telemetry
from services.tokens import Claims
from tests.support.api_in_process import SETTINGS, bearer
from tests.support.ports import LOOPBACK, free_ports
from tests.support.signing import ec_key, pem, rsa_key, token
from tests.unit.query_api.conftest import MakeApi

NOW_MS = 1_000_000


@dataclass
class Quota:
    """A route that says who calls it."""

    keys: MemoryApiKeyStore
    app: FastAPI
    client: httpx.AsyncClient

    async def ask(self, *headers: tuple[str, str]) -> httpx.Response:
        return await self.client.get("/who", headers=list(headers))

    async def new_key(self, expires_ms: int | None = None) -> NewKey:
        new = make_key()
        organization = OrganizationId("acme")
        key = ApiKey(id=new.id, organization=organization, name="", created_ms=0, expires_ms=expires_ms)
        await self.keys.create(new.hash, key)
        return new


def app_of(verifier: TokenVerifier, keys: MemoryApiKeyStore) -> FastAPI:
    app = FastAPI()
    caller = callers(verifier, keys, lambda: NOW_MS)

    @app.get("/who")
    async def who(claims: Annotated[Claims, Depends(caller.quota)]) -> list[str]:
        return [claims.organization, claims.role, claims.subject]

    @app.get("/usage")
    async def usage(claims: Annotated[Claims, Depends(caller.usage)]) -> list[str]:
        return [claims.organization, claims.role, claims.subject]

    install_error_handlers(app)
    app.add_middleware(Observing, telemetry=Telemetry("api"))
    return app


@pytest.fixture
async def quota() -> AsyncIterator[Quota]:
    keys = MemoryApiKeyStore()
    app = app_of(token_verifier(SETTINGS.api), keys)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://api") as client:
        yield Quota(keys, app, client)


def token_header() -> tuple[str, str]:
    """Made when it is used: a token of the tests lives for a minute, the tests longer."""
    return ("Authorization", bearer()["Authorization"])


def key_header(text: str) -> tuple[str, str]:
    return ("SlashID-API-Key", text)


async def test_the_quota_family_takes_a_token_or_a_key(quota: Quota) -> None:
    new = await quota.new_key()
    assert (await quota.ask(token_header())).json() == ["acme", "Admin", "ada"]
    assert (await quota.ask(key_header(new.text))).json() == ["acme", "Admin", f"api-key:{new.id}"]
    assert (await quota.ask(("slashid-api-key", new.text))).status_code == 200


async def test_the_quota_family_refuses_both_at_once_and_anything_twice(quota: Quota) -> None:
    key = key_header((await quota.new_key()).text)
    for headers in (
        [token_header(), key],
        [key, key],
        [token_header(), token_header()],
        [],
        [("Authorization", "Basic YTpi"), key],
    ):
        answer = await quota.ask(*headers)
        assert answer.status_code == 401
        assert "not both" in answer.json()["message"]
        assert answer.headers["WWW-Authenticate"] == 'Bearer realm="tidemark", ApiKey realm="tidemark"'


@pytest.mark.parametrize(
    "text", ["", " ", "tmk_", "x" * 100_000, "é", "tmk_0123456789_", "*", f"tmk_{'0' * 10}_{'0' * 48}"]
)
async def test_what_is_no_key_of_ours_is_401(quota: Quota, text: str) -> None:
    await quota.new_key()
    answer = await quota.client.get("/who", headers={b"SlashID-API-Key": text.encode()})
    assert answer.status_code == 401
    assert "WWW-Authenticate" in answer.headers


async def test_what_does_not_look_like_a_key_is_not_looked_up(quota: Quota, monkeypatch: pytest.MonkeyPatch) -> None:
    async def find(*_: object) -> None:
        raise AssertionError("the store was asked")

    monkeypatch.setattr(quota.keys, "find", find)
    new = make_key()
    for text in ("garbage", new.text + "0", new.text.upper(), new.text[:-1], new.hash):
        assert (await quota.ask(key_header(text))).status_code == 401


async def test_a_key_ends_when_it_expires_or_is_revoked(quota: Quota) -> None:
    expired, live, revoked = [await quota.new_key(end) for end in (NOW_MS, NOW_MS + 1, None)]
    await quota.keys.revoke(revoked.id)
    statuses = [(await quota.ask(key_header(new.text))).status_code for new in (expired, live, revoked)]
    assert statuses == [401, 200, 401]


async def test_a_store_of_keys_that_is_away_is_503(quota: Quota, monkeypatch: pytest.MonkeyPatch) -> None:
    async def find(*_: object) -> None:
        raise StoreUnavailable("Redis is away")

    monkeypatch.setattr(quota.keys, "find", find)
    answer = await quota.ask(key_header(make_key().text))
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")


async def test_the_usage_family_takes_no_key(quota: Quota) -> None:
    key = (await quota.new_key()).text
    answer = await quota.client.get("/usage", headers={"SlashID-API-Key": key})
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="tidemark"'
    assert (await quota.client.get("/usage", headers=[token_header(), key_header(key)])).status_code == 200


async def test_the_document_says_what_each_family_takes(quota: Quota) -> None:
    document = quota.app.openapi()
    assert document["paths"]["/usage"]["get"]["security"] == [{"bearerAuth": []}]
    assert document["paths"]["/who"]["get"]["security"] == [{"bearerAuth": []}, {"ApiKeyAuth": []}]
    assert "parameters" not in document["paths"]["/who"]["get"]
    schemes = document["components"]["securitySchemes"]
    assert (schemes["bearerAuth"]["type"], schemes["bearerAuth"]["scheme"]) == ("http", "bearer")
    named = {name: schemes["ApiKeyAuth"][name] for name in ("type", "in", "name")}
    assert named == {"type": "apiKey", "in": "header", "name": "SlashID-API-Key"}


async def test_while_no_key_was_ever_read_a_token_is_503_and_what_is_none_401() -> None:
    (port,) = free_ports(1)
    address = KeyAddress(f"http://{LOOPBACK}:{port}/", interval_s=300)
    verifier = TokenVerifier(issuer="tidemark", audience="tidemark-api", fixed=(), address=address)
    app = app_of(verifier, MemoryApiKeyStore())
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://api") as client:
        answer = await client.get("/usage", headers={"Authorization": f"Bearer {token(rsa_key())}"})
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
        answer = await client.get("/usage", headers={"Authorization": "Bearer garbage"})
        assert answer.status_code == 401


@pytest.mark.parametrize("key", [rsa_key(), ec_key()])
async def test_an_api_with_a_public_key_takes_its_tokens_and_none_of_the_secret_that_everybody_knows(
    make_api: MakeApi, tmp_path: Any, key: Any
) -> None:
    file = tmp_path / "public.pem"
    file.write_bytes(pem(key))
    api = make_api(settings=SETTINGS.model_copy(update={"api": SETTINGS.api.model_copy(update={"jwt_key_file": file})}))
    path = "/api/v1/organization/usage"
    assert (await api.get(path, {}, {"Authorization": f"Bearer {token(key)}"})).status_code == 400
    assert (await api.get(path, {}, bearer())).status_code == 401


async def test_the_app_takes_keys_in_the_quota_family_alone_and_says_so(make_api: MakeApi) -> None:
    keys, new = MemoryApiKeyStore(), make_key()
    organization = OrganizationId("acme")
    await keys.create(new.hash, ApiKey(id=new.id, organization=organization, name="", created_ms=0, expires_ms=None))
    api = make_api(api_keys=keys)
    assert (await api.get("/organizations/quota/all-tiers", {}, {"SlashID-API-Key": new.text})).status_code == 200
    assert (await api.get("/api/v1/organization", {}, {"SlashID-API-Key": new.text})).status_code == 401
    document = (await api.get("/openapi.json", {}, {})).json()
    either: list[dict[str, list[str]]] = [{"bearerAuth": []}, {"ApiKeyAuth": []}]
    for path, operations in document["paths"].items():
        assert operations["get"]["security"] == (either if path.startswith("/organizations/") else either[:1]), path
