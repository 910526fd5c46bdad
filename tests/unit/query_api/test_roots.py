"""What a root's tokens and API keys may ask about the organizations below it: every operation that names one."""

from collections.abc import Mapping
from typing import Any

import httpx
import pytest

from services.api_keys import ApiKey, NewKey, make_key
from services.directory import Thing
from services.identifiers import OrganizationId
from services.memory_api_keys import MemoryApiKeyStore
from services.metrics_contract import CHAT
from services.tokens import Role
from services.windows import HOUR_MS, rfc3339
from tests.support.api_in_process import NOW_HOUR, PARTITIONS, Api, bearer
from tests.support.counted import Counted, Use
from tests.support.directory_written import DirectoryWritten
from tests.unit.query_api.conftest import MakeApi

RANGE = {
    "from": rfc3339((NOW_HOUR - 1) * HOUR_MS),
    "to": rfc3339(NOW_HOUR * HOUR_MS),
    "granularity": "all",
}
USAGE: Mapping[str, Mapping[str, str]] = {
    "/api/v1/organization/usage": {},
    "/api/v1/team/usage": {"teamId": "core"},
    "/api/v1/user/usage": {"userId": "ada"},
}
QUOTA = ("/organizations/quota/usage", "/organizations/quota/current-tier", "/organizations/suborganizations")
PATHS = (*USAGE, *QUOTA)
FOREIGN = {path: 403 if path in ("/api/v1/team/usage", "/api/v1/user/usage") else 404 for path in PATHS}


@pytest.fixture
def keys() -> MemoryApiKeyStore:
    return MemoryApiKeyStore()


@pytest.fixture
async def family(make_api: MakeApi, keys: MemoryApiKeyStore, written: DirectoryWritten) -> Api:
    """A root with a child and a grandchild, and a stranger; each has used chat, once more for each level down."""
    api = make_api(api_keys=keys)
    counted = Counted(partitions=PARTITIONS)
    parents = {"root": None, "child": "root", "grandchild": "child", "stranger": None}
    for number, (organization, parent) in enumerate(parents.items(), start=1):
        written.organization(organization, tier="professional", **({} if parent is None else {"parentId": parent}))
        written.user(organization, f"only-{organization}")
        amounts = {"interactions": number}
        counted.add(
            Use(organization=organization, team="core", user="ada", hour=NOW_HOUR - 1, product=CHAT, amounts=amounts)
        )
    await written.write(api.store)
    await counted.write(api.store)
    return api


async def key_of(keys: MemoryApiKeyStore, organization: str) -> dict[str, str]:
    new: NewKey = make_key()
    of = OrganizationId(organization)
    await keys.create(new.hash, ApiKey(id=new.id, organization=of, name="", created_ms=0, expires_ms=None))
    return {"SlashID-API-Key": new.text}


async def ask(api: Api, path: str, organization: str, caller: Mapping[str, str]) -> httpx.Response:
    if path in USAGE:
        return await api.get(path, {**RANGE, **USAGE[path], "organizationId": organization}, caller)
    return await api.get(path, headers={**caller, "SlashID-OrgID": organization})


async def answer(api: Api, path: str, organization: str, caller: Mapping[str, str]) -> Any:
    response = await ask(api, path, organization, caller)
    assert response.status_code == 200, response.text
    return response.json()


async def statuses(api: Api, organization: str, caller: Mapping[str, str]) -> dict[str, int]:
    return {path: (await ask(api, path, organization, caller)).status_code for path in PATHS}


@pytest.mark.parametrize("role", [Role.ADMIN, Role.MANAGER])
@pytest.mark.parametrize(("below", "interactions"), [("child", 2), ("grandchild", 3)])
async def test_a_roots_admins_and_managers_are_told_of_each_descendant(
    family: Api, role: Role, below: str, interactions: int
) -> None:
    caller = bearer("root", role)
    for path in USAGE:
        found = await answer(family, path, below, caller)
        assert found["organizationId"] == below
        assert found["usage"]["data"][0]["chat"]["interactions"] == interactions
    usage, tier, suborganizations = [(await answer(family, path, below, caller))["result"] for path in QUOTA]
    levels = ["grandchild"][: 3 - interactions]
    assert suborganizations == levels
    assert (usage["num_suborganizations"], usage["num_persons"]) == (len(levels), 1 + len(levels))
    assert tier["name"] == usage["pricing_tier_details"]["name"] == "professional"


async def test_a_roots_caller_sees_of_a_descendant_what_the_hierarchy_has_left_and_the_descendants_own_does_not(
    family: Api, keys: MemoryApiKeyStore
) -> None:
    path = "/organizations/quota/usage"
    for caller in (bearer("root"), await key_of(keys, "root")):
        found = (await answer(family, path, "child", caller))["result"]
        assert found["headroom"] == {"suborganizations": 8, "persons": 4_997, "groups": 100}
        assert found["utilization"]["suborganizations"] == 0.2
    for caller in (bearer("child"), await key_of(keys, "child")):
        found = (await answer(family, path, "child", caller))["result"]
        assert "headroom" not in found
        assert "utilization" not in found


@pytest.mark.parametrize("role", [Role.TEAM_LEAD, Role.MEMBER])
async def test_nobody_else_of_the_root_is_told_of_a_descendant(family: Api, role: Role) -> None:
    assert await statuses(family, "child", bearer("root", role)) == FOREIGN


@pytest.mark.parametrize(
    ("caller", "asked"), [("child", "root"), ("child", "grandchild"), ("root", "stranger"), ("root", "nowhere")]
)
async def test_nobody_is_told_of_an_organization_that_is_not_below_the_own_root(
    family: Api, keys: MemoryApiKeyStore, caller: str, asked: str
) -> None:
    assert await statuses(family, asked, bearer(caller)) == FOREIGN
    key = await key_of(keys, caller)
    assert {path: (await ask(family, path, asked, key)).status_code for path in QUOTA} == dict.fromkeys(QUOTA, 404)


async def test_a_roots_key_opens_every_descendant_in_the_quota_family_and_nothing_in_the_usage_family(
    family: Api, keys: MemoryApiKeyStore
) -> None:
    key = await key_of(keys, "root")
    expected = dict.fromkeys(USAGE, 401) | dict.fromkeys(QUOTA, 200)
    for organization in ("root", "child", "grandchild"):
        assert await statuses(family, organization, key) == expected


async def test_what_moves_away_or_is_deleted_is_out_of_the_roots_sight_at_once(
    family: Api, keys: MemoryApiKeyStore, written: DirectoryWritten
) -> None:
    key = await key_of(keys, "root")
    assert set((await statuses(family, "child", bearer("root"))).values()) == {200}
    written.organization("child", parentId="stranger")
    await written.write(family.store)
    for below in ("child", "grandchild"):
        assert await statuses(family, below, bearer("root")) == FOREIGN
        assert {(await ask(family, path, below, key)).status_code for path in QUOTA} == {404}
        assert set((await statuses(family, below, bearer("stranger"))).values()) == {200}
    written.delete(Thing.ORGANIZATION, "child")
    await written.write(family.store)
    assert await statuses(family, "child", bearer("stranger")) == FOREIGN
    assert await statuses(family, "grandchild", bearer("stranger")) == FOREIGN


async def test_in_a_cycle_nobody_is_told_of_the_other(family: Api, written: DirectoryWritten) -> None:
    written.organization("root", parentId="child")
    await written.write(family.store)
    assert await statuses(family, "child", bearer("root")) == FOREIGN


@pytest.mark.parametrize("path", QUOTA)
async def test_refusals_of_the_quota_family_have_its_envelope(family: Api, keys: MemoryApiKeyStore, path: str) -> None:
    key = await key_of(keys, "root")
    for caller, organization, status in (({}, "root", 401), (key, "stranger", 404), (key, "a/b", 400)):
        response = await ask(family, path, organization, caller)
        body = response.json()
        assert response.status_code == status
        assert list(body) == ["meta", "errors"]
        assert [error["httpcode"] for error in body["errors"]] == [status]
        assert "stranger" not in response.text
