"""The policy as callers meet it: every operation of the API, over a real Redis or Valkey that holds something."""

from collections.abc import AsyncIterator
from itertools import product
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from query_api.app import create_app
from services.metrics_contract import CHAT
from services.redis_client import connect
from services.redis_counters import RedisCounterStore
from services.settings import RedisSettings
from services.telemetry import Telemetry
from services.tokens import Role
from services.windows import HOUR_MS, rfc3339
from tests.support.api_in_process import NOW_HOUR, PARTITIONS, SETTINGS, bearer
from tests.support.counted import Counted, Use
from tests.support.directory_written import DirectoryWritten
from tests.support.policy_table import (
    OPERATIONS,
    QUOTA_CALLS,
    ROLES,
    TEAM_CALLS,
    USER_CALLS,
    Asked,
    Caller,
    World,
    expected,
)

pytestmark = pytest.mark.integration

TRIPLES = 20
EXAMPLES = 250
"""Together 5,000 triples."""

TEAMS = ("core", "web")
WORLD = World(
    parents={"root": None, "middle": "root", "leaf": "middle", "other": None, "lost": "deleted"},
    people={
        ("root", "ada"): ("core", None),
        ("root", "bob"): ("core", ["web"]),
        ("root", "cy"): ("web", []),
        ("root", "dee"): (None, None),
        ("middle", "ada"): ("core", ["core", "web"]),
        ("middle", "bob"): ("web", None),
        ("leaf", "cy"): ("web", None),
        ("other", "ada"): ("web", ["core"]),
    },
)
USERS = ("ada", "bob", "cy", "dee", "nobody")

PATHS = {
    "getOrganization": "/api/v1/organization",
    "listOrganizationTeams": "/api/v1/organization/teams",
    "getLicense": "/api/v1/license",
    "getAccountUtilizations": "/api/v1/organization/account-utilizations",
    "getInstancePermissions": "/api/v1/instance/permissions?role=Admin",
    "getOrganizationUsage": "/api/v1/organization/usage",
    "getOrganizationUsers": "/api/v1/organization/users?offset=0&limit=0&teamMember=true&active=true",
    "getTeamName": "/api/v1/team/{target}",
    "getTeamUsers": "/api/v1/team/{target}/users?offset=0&limit=0",
    "getTeamUtilization": "/api/v1/team/account-utilizations?teamId={target}",
    "getTeamUsage": "/api/v1/team/usage?teamId={target}",
    "getUserInfo": "/api/v1/user/{target}",
    "getUserUsage": "/api/v1/user/usage?userId={target}",
    "GetOrganizationsQuotaUsage": "/organizations/quota/usage",
    "GetOrganizationsQuotaCurrentTier": "/organizations/quota/current-tier",
    "GetOrganizationsQuotaAllTiers": "/organizations/quota/all-tiers",
    "GetOrganizationsSuborganizations": "/organizations/suborganizations",
}
NAMES_ONE = ("getOrganizationUsage", "getTeamUsage", "getUserUsage")
"""Calls with `organizationId`; those of the quota family but one have a header, the rest name no organization."""

RANGE = {
    "from": rfc3339((NOW_HOUR - 24) * HOUR_MS),
    "to": rfc3339((NOW_HOUR + 1) * HOUR_MS),
    "granularity": "all",
}


async def populate(store: RedisCounterStore) -> None:
    """Write the world: teams and a license for each organization, a use by every user and in every team."""
    written, counted = DirectoryWritten(partitions=PARTITIONS), Counted(partitions=PARTITIONS)
    for organization, parent in WORLD.parents.items():
        written.organization(organization, **({} if parent is None else {"parentId": parent}))
        written.license(organization, "l")
        for team in TEAMS:
            written.team(organization, team)
            counted.add(use_of(organization, "somebody", team))
    for (organization, user), (own, leads) in WORLD.people.items():
        told: dict[str, Any] = {"teamId": own, "leads": leads}
        written.user(organization, user, **{name: value for name, value in told.items() if value is not None})
        counted.add(use_of(organization, user, None))
    await written.write(store)
    await counted.write(store)


def use_of(organization: str, user: str, team: str | None) -> Use:
    amounts = {"interactions": 1}
    return Use(organization=organization, user=user, team=team, hour=NOW_HOUR, product=CHAT, amounts=amounts)


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[httpx.AsyncClient]:
    redis = connect(RedisSettings(url=redis_url))
    store = RedisCounterStore(redis, PARTITIONS)
    await populate(store)
    app = create_app(store, SETTINGS, Telemetry("api"), clock=lambda: NOW_HOUR * HOUR_MS)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://api") as client:
        yield client
    await redis.aclose()


async def status_of(client: httpx.AsyncClient, caller: Caller, asked: Asked) -> int:
    headers = bearer(caller.organization, Role(caller.role), caller.user)
    url = httpx.URL(PATHS[asked.operation].format(target=asked.target))
    if asked.operation in NAMES_ONE:
        url = url.copy_merge_params(RANGE | {"organizationId": asked.organization or caller.organization})
    elif takes_header(asked.operation):
        headers["SlashID-OrgID"] = asked.organization or caller.organization
    return (await client.get(url, headers=headers)).status_code


def takes_header(operation: str) -> bool:
    return operation in QUOTA_CALLS and operation != "GetOrganizationsQuotaAllTiers"


def wanted(caller: Caller, asked: Asked) -> int:
    """The table's answer; where it lets a call through, 404 for what is not there."""
    status = expected(WORLD, caller, asked)
    if status != 200 or asked.operation == "GetOrganizationsQuotaAllTiers":
        return status
    organization = asked.organization or caller.organization
    is_there = organization in WORLD.parents
    if asked.operation in TEAM_CALLS:
        is_there = is_there and asked.target in TEAMS
    if asked.operation in USER_CALLS:
        is_there = is_there and (organization, asked.target) in WORLD.people
    return 200 if is_there else 404


def calls() -> list[Asked]:
    found = []
    for operation in OPERATIONS:
        targets = USERS if operation in USER_CALLS else (*TEAMS, "none") if operation in TEAM_CALLS else ("",)
        names_one = operation in NAMES_ONE or takes_header(operation)
        organizations = (None, *WORLD.parents, "nowhere") if names_one else (None,)
        found += [
            Asked(operation=operation, organization=organization, target=target)
            for organization, target in product(organizations, targets)
        ]
    return found


CALLERS = [
    Caller(organization=organization, user=user, role=role)
    for organization, user, role in product((*WORLD.parents, "nowhere"), USERS, ROLES)
]
TRIPLES_OF_ALL = list(product(CALLERS, calls()))


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(drawn=st.lists(st.sampled_from(TRIPLES_OF_ALL), min_size=TRIPLES, max_size=TRIPLES))
async def test_no_answer_differs_from_the_table(client: httpx.AsyncClient, drawn: list[tuple[Caller, Asked]]) -> None:
    for caller, asked in drawn:
        assert await status_of(client, caller, asked) == wanted(caller, asked), (caller, asked)


async def test_each_operation_is_answered_where_the_table_lets_it_through(client: httpx.AsyncClient) -> None:
    for operation, role in product(OPERATIONS, ROLES):
        caller = Caller(organization="root", user="ada", role=role)
        asked = [each for each in calls() if each.operation == operation and each.organization is None]
        statuses = {await status_of(client, caller, each) for each in asked}
        assert (200 in statuses) == any(wanted(caller, each) == 200 for each in asked)
