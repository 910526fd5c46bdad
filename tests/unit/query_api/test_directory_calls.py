from collections.abc import Mapping
from typing import Any

import pytest

from services.directory import Thing
from services.directory_records import encode_record
from services.identifiers import OrganizationId
from services.keyspace import directory_bucket, directory_key, epoch_prefix, tags
from services.tokens import Role
from services.windows import HOUR_MS, rfc3339
from tests.support.api_in_process import NOW_HOUR, PARTITIONS, Api, bearer
from tests.support.directory_written import DirectoryWritten

ORGANIZATION = "/api/v1/organization"
TEAMS = "/api/v1/organization/teams"
LICENSE = "/api/v1/license"
UTILIZATIONS = "/api/v1/organization/account-utilizations"
PERMISSIONS = "/api/v1/instance/permissions"
TEAM_USERS = "/api/v1/team/core/users"
USERS = "/api/v1/organization/users"
TEAM_UTILIZATION = "/api/v1/team/account-utilizations"
TEAM = "/api/v1/team/core"
USER = "/api/v1/user/ada"

PAGE = {"offset": "0", "limit": "0"}
FILTERS = PAGE | {"teamMember": "true", "active": "true"}
CALLS: list[tuple[str, Mapping[str, str]]] = [
    (ORGANIZATION, {}),
    (TEAMS, {}),
    (LICENSE, {}),
    (UTILIZATIONS, {}),
    (PERMISSIONS, {"role": "Admin"}),
    (TEAM_USERS, PAGE),
    (USERS, FILTERS),
    (TEAM_UTILIZATION, {"teamId": "core"}),
    (TEAM, {}),
    (USER, {}),
]


async def body(api: Api, path: str, parameters: Mapping[str, str] | None = None) -> Any:
    response = await api.get(path, parameters)
    assert response.status_code == 200, response.text
    return response.json()


async def ids(api: Api, path: str, parameters: Mapping[str, str]) -> list[str]:
    return [row["id"] for row in (await body(api, path, parameters))["data"]]


def everything(written: DirectoryWritten) -> None:
    """Write enough for every call to have an answer."""
    written.organization("acme")
    written.team("acme", "core")
    written.user("acme", "ada", role="Admin", teamId="core")
    written.license("acme", "l-1")


async def test_an_organization_shows_what_its_record_says_and_no_more(api: Api, written: DirectoryWritten) -> None:
    written.organization("acme", name="Acme", parentId="holding", tier="enterprise")
    await written.write(api.store)
    assert await body(api, ORGANIZATION) == {"id": "acme", "name": "Acme"}
    details: dict[str, Any] = {
        "publicKey": "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
        "samlEnabled": False,
        "smtpConfigured": True,
        "usernamePasswordEnabled": True,
        "domains": ["acme.example"],
        "planType": "Enterprise",
    }
    written.organization("acme", name="Acme", **details)
    await written.write(api.store)
    assert await body(api, ORGANIZATION) == {"id": "acme", "name": "Acme"} | details


async def test_teams_are_listed_by_id_with_their_registered_members(api: Api, written: DirectoryWritten) -> None:
    written.organization("acme")
    written.team("acme", "web", name="Web", isDefaultTeam=False)
    written.team("acme", "core", name="Core", isDefaultTeam=True)
    written.team("acme", "gone")
    written.delete(Thing.TEAM, "acme", "gone")
    for user, status in (("a", "registered"), ("b", "registered"), ("c", "invited"), ("d", "deactivated")):
        written.user("acme", user, teamId="core", status=status)
    written.user("acme", "e", teamId="core")
    written.delete(Thing.USER, "acme", "e")
    written.team("other", "core")
    await written.write(api.store)
    assert await body(api, TEAMS) == {
        "data": [
            {"id": "core", "name": "Core", "usersCount": 2, "isDefaultTeam": True},
            {"id": "web", "name": "Web", "usersCount": 0, "isDefaultTeam": False},
        ],
        "meta": {"count": 2, "total": 2, "next": None},
    }
    assert await body(api, TEAMS, {"offset": "0", "limit": "1"}) == {
        "data": [{"id": "core", "name": "Core", "usersCount": 2, "isDefaultTeam": True}],
        "meta": {"count": 1, "total": 2, "next": {"limit": 1, "offset": 1}},
    }
    assert (await body(api, TEAMS, {"offset": "2"}))["meta"] == {"count": 0, "total": 2, "next": None}


async def test_a_team_that_does_not_say_whether_it_is_the_default_is_not_asked_to(
    api: Api, written: DirectoryWritten
) -> None:
    written.organization("acme")
    written.team("acme", "core", name="Core")
    await written.write(api.store)
    assert (await body(api, TEAMS))["data"] == [{"id": "core", "name": "Core", "usersCount": 0}]


async def test_the_licence_in_force_is_the_one_issued_last_and_of_those_the_one_that_ends_last(
    api: Api, written: DirectoryWritten
) -> None:
    written.organization("acme")
    assert written.read_up_to_ms is not None
    await written.write(api.store)
    assert (await api.get(LICENSE)).status_code == 404
    written.license("acme", "l-1", iat=10, exp=1_000_000)
    written.license("acme", "l-2", iat=20, exp=30)
    written.license("acme", "l-3", iat=20, exp=40, seats=5, seatsCap=6, settings={"chatModel": {"type": "Private"}})
    written.license("acme", "l-4", iat=99, exp=100)
    written.delete(Thing.LICENSE, "acme", "l-4")
    await written.write(api.store)
    assert await body(api, LICENSE) == {
        "license": {"exp": 40, "iat": 20, "seats": 5, "seatsCap": 6, "settings": {"chatModel": {"type": "Private"}}}
    }
    written.license("acme", "l-5", iat=21, exp=22, audience="idp", features=["chat"])
    await written.write(api.store)
    assert await body(api, LICENSE) == {"license": {"exp": 22, "iat": 21, "audience": "idp", "features": ["chat"]}}
    for license_ in ("l-1", "l-2", "l-3", "l-5"):
        written.delete(Thing.LICENSE, "acme", license_)
    await written.write(api.store)
    assert (await api.get(LICENSE)).status_code == 404


async def test_permissions_name_who_holds_the_role_and_is_not_deactivated(api: Api, written: DirectoryWritten) -> None:
    written.organization("acme")
    written.user("acme", "u-1", username="one@acme.example", role="Admin")
    written.user("acme", "u-2", username="two@acme.example", role="Admin", status="invited")
    written.user("acme", "u-3", role="Admin", status="deactivated")
    written.user("acme", "u-4", role="Manager")
    written.user("acme", "u-5", role="Admin")
    written.delete(Thing.USER, "acme", "u-5")
    written.user("other", "u-6", role="Admin")
    await written.write(api.store)
    assert await body(api, PERMISSIONS, {"role": "Admin"}) == [
        {"username": "one@acme.example", "organizationId": "acme"},
        {"username": "two@acme.example", "organizationId": "acme"},
    ]
    assert await body(api, PERMISSIONS, {"role": "TeamLead"}) == []


@pytest.mark.parametrize("role", ["admin", "Owner", "", "Admin "])
async def test_a_role_that_there_is_not_is_refused(api: Api, role: str) -> None:
    response = await api.get(PERMISSIONS, {"role": role})
    assert response.status_code == 400
    assert list(response.json()["details"]["parameters"]) == ["role"]


async def test_a_teams_users_are_all_members_that_are_not_deleted(api: Api, written: DirectoryWritten) -> None:
    written.organization("acme")
    written.team("acme", "core")
    written.user("acme", "b", teamId="core", status="invited", verified=False)
    written.user(
        "acme",
        "a",
        teamId="core",
        status="deactivated",
        username="Ann",
        email="ann@acme.example",
        role="TeamLead",
        updatedAt="2026-02-01T10:00:00.999+00:30",
        deactivatedAt="2026-02-01T10:00:00Z",
    )
    written.user("acme", "c", teamId="core")
    written.user("acme", "d", teamId="web")
    written.user("acme", "e")
    written.user("acme", "f", teamId="core")
    written.delete(Thing.USER, "acme", "f")
    await written.write(api.store)
    found = await body(api, TEAM_USERS, {"offset": "0", "limit": "2"})
    assert found["data"] == [
        {
            "id": "a",
            "username": "Ann",
            "email": "ann@acme.example",
            "role": "TeamLead",
            "verified": True,
            "deactivatedAt": "2026-02-01T10:00:00Z",
            "updatedAt": "2026-02-01T09:30:00Z",
        },
        {
            "id": "b",
            "username": "b",
            "email": "b@acme.example",
            "role": "Member",
            "verified": False,
            "deactivatedAt": None,
            "updatedAt": None,
        },
    ]
    assert found["meta"] == {"count": 2, "total": 3, "next": {"limit": 2, "offset": 2}}
    assert await ids(api, TEAM_USERS, {"offset": "2", "limit": "2"}) == ["c"]
    assert (await body(api, TEAM_USERS, PAGE))["meta"] == {"count": 3, "total": 3, "next": None}


async def test_a_team_without_members_has_an_empty_page(api: Api, written: DirectoryWritten) -> None:
    written.organization("acme")
    written.team("acme", "core")
    await written.write(api.store)
    assert await body(api, TEAM_USERS, PAGE) == {"data": [], "meta": {"count": 0, "total": 0, "next": None}}
    assert await body(api, TEAM_UTILIZATION, {"teamId": "core"}) == {"registered": 0, "deactivated": 0, "invited": 0}


@pytest.mark.parametrize(
    ("team_member", "active", "expected"),
    [
        ("true", "true", ["in-registered"]),
        ("true", "false", ["in-deactivated"]),
        ("false", "true", ["out-registered", "out-registered-deleted-team"]),
        ("false", "false", ["out-deactivated"]),
    ],
)
async def test_organization_users_are_filtered_by_team_and_by_status(
    api: Api, written: DirectoryWritten, team_member: str, active: str, expected: list[str]
) -> None:
    written.organization("acme")
    for status in ("registered", "deactivated", "invited"):
        written.user("acme", f"in-{status}", status=status, teamId="unknown-team")
        written.user("acme", f"out-{status}", status=status)
    written.team("acme", "gone")
    written.delete(Thing.TEAM, "acme", "gone")
    written.user("acme", "out-registered-deleted-team", teamId="gone")
    await written.write(api.store)
    assert await ids(api, USERS, PAGE | {"teamMember": team_member, "active": active}) == expected


async def test_a_teams_head_counts_are_its_members_by_status(api: Api, written: DirectoryWritten) -> None:
    written.organization("acme")
    written.team("acme", "core")
    for number, status in enumerate(["registered"] * 3 + ["deactivated"] * 2 + ["invited"]):
        written.user("acme", f"u-{number}", status=status, teamId="core")
    written.user("acme", "elsewhere", teamId="web")
    await written.write(api.store)
    assert await body(api, TEAM_UTILIZATION, {"teamId": "core"}) == {"registered": 3, "deactivated": 2, "invited": 1}


async def test_a_team_has_an_id_and_a_name(api: Api, written: DirectoryWritten) -> None:
    written.organization("acme")
    written.team("acme", "core", name="The Core", isDefaultTeam=True)
    await written.write(api.store)
    assert await body(api, TEAM) == {"id": "core", "name": "The Core"}


async def test_a_user_is_shown_with_the_team_as_far_as_the_directory_knows_it(
    api: Api, written: DirectoryWritten
) -> None:
    written.organization("acme")
    told = {"email": "ada@acme.example", "role": "Manager", "createdAt": "2025-01-04T08:00:00Z"}
    written.user("acme", "ada", **told)
    await written.write(api.store)
    profile = {"organization_id": "acme", "user_id": "ada"} | told
    assert await body(api, USER) == {"user": profile, "teams": {}}
    written.user("acme", "ada", teamId="core", updatedAt="2025-02-01T10:00:00Z", **told)
    await written.write(api.store)
    profile |= {"updatedAt": "2025-02-01T10:00:00Z"}
    assert await body(api, USER) == {"user": profile, "teams": {"team_id": "core"}}
    written.team("acme", "core", name="Core")
    await written.write(api.store)
    assert await body(api, USER) == {"user": profile, "teams": {"team_id": "core", "team_name": "Core"}}
    written.delete(Thing.TEAM, "acme", "core")
    await written.write(api.store)
    assert await body(api, USER) == {"user": profile, "teams": {}}


@pytest.mark.parametrize(("path", "parameters"), CALLS)
async def test_every_answer_says_as_of_when_it_is(
    api: Api, written: DirectoryWritten, path: str, parameters: Mapping[str, str]
) -> None:
    everything(written)
    await written.write(api.store)
    response = await api.get(path, parameters)
    if path != UTILIZATIONS:  # where no usage event was ever read
        assert response.headers["Tidemark-As-Of"] == rfc3339(NOW_HOUR * HOUR_MS)
    written.read_up_to_ms = None
    await written.write(api.store)
    response = await api.get(path, parameters)
    assert response.status_code == 200
    assert "Tidemark-As-Of" not in response.headers


@pytest.mark.parametrize(("path", "parameters"), CALLS)
async def test_without_the_organization_nothing_is_found(
    api: Api, written: DirectoryWritten, path: str, parameters: Mapping[str, str]
) -> None:
    assert (await api.get(path, parameters)).status_code == 404
    everything(written)
    await written.write(api.store)
    assert (await api.get(path, parameters)).status_code == 200
    written.delete(Thing.ORGANIZATION, "acme")
    await written.write(api.store)
    response = await api.get(path, parameters)
    assert (response.status_code, response.json()["error"]) == (404, "NOT_FOUND")


@pytest.mark.parametrize(
    ("path", "parameters", "thing", "subject"),
    [
        (TEAM_USERS, PAGE, Thing.TEAM, "core"),
        (TEAM_UTILIZATION, {"teamId": "core"}, Thing.TEAM, "core"),
        (TEAM, {}, Thing.TEAM, "core"),
        (USER, {}, Thing.USER, "ada"),
    ],
)
async def test_what_is_deleted_is_not_found(
    api: Api, written: DirectoryWritten, path: str, parameters: Mapping[str, str], thing: Thing, subject: str
) -> None:
    everything(written)
    await written.write(api.store)
    assert (await api.get(path, parameters)).status_code == 200
    written.delete(thing, "acme", subject)
    await written.write(api.store)
    assert (await api.get(path, parameters)).status_code == 404


async def test_a_team_that_only_users_name_is_not_found(api: Api, written: DirectoryWritten) -> None:
    written.organization("acme")
    written.user("acme", "ada", teamId="core")
    await written.write(api.store)
    assert (await api.get(TEAM)).status_code == 404
    assert (await api.get(TEAM_USERS, PAGE)).status_code == 404
    assert (await api.get(TEAM_UTILIZATION, {"teamId": "core"})).status_code == 404


@pytest.mark.parametrize(("path", "parameters"), CALLS)
async def test_every_call_wants_a_token(api: Api, path: str, parameters: Mapping[str, str]) -> None:
    assert (await api.get(path, parameters, {})).status_code == 401


@pytest.mark.parametrize(("path", "parameters"), CALLS)
async def test_a_token_of_another_organization_sees_nothing_of_this_one(
    api: Api, written: DirectoryWritten, path: str, parameters: Mapping[str, str]
) -> None:
    everything(written)
    written.organization("rival")
    await written.write(api.store)
    response = await api.get(path, parameters, bearer("rival") | {"X-Request-ID": "1"})
    assert "acme" not in response.text
    assert "ada" not in response.text


@pytest.mark.parametrize(
    ("path", "parameters", "name"),
    [
        (TEAMS, {"limit": "1001"}, "limit"),
        (TEAMS, {"limit": "-1"}, "limit"),
        (TEAMS, {"offset": "-1"}, "offset"),
        (TEAMS, {"offset": "1.0"}, "offset"),
        (TEAMS, {"offset": " 1"}, "offset"),
        (TEAMS, {"offset": "1_0"}, "offset"),
        (TEAMS, {"offset": "9" * 5000}, "offset"),
        (TEAM_USERS, {"offset": "0"}, "limit"),
        (TEAM_USERS, {"limit": "0"}, "offset"),
        (TEAM_USERS, {"offset": "0", "limit": "1001"}, "limit"),
        (USERS, FILTERS | {"teamMember": "yes"}, "teamMember"),
        (USERS, FILTERS | {"active": "1"}, "active"),
        (USERS, PAGE | {"teamMember": "true"}, "active"),
        (USERS, PAGE | {"active": "true"}, "teamMember"),
        (TEAM_UTILIZATION, {}, "teamId"),
        (TEAM_UTILIZATION, {"teamId": ""}, "teamId"),
        (TEAM_UTILIZATION, {"teamId": "a/b"}, "teamId"),
        ("/api/v1/team/a%0Ab", {}, "teamId"),
        (f"/api/v1/user/{'x' * 129}", {}, "user_id"),
        (PERMISSIONS, {}, "role"),
    ],
)
async def test_a_parameter_that_is_missing_or_malformed_is_a_400_that_names_it(
    api: Api, path: str, parameters: Mapping[str, str], name: str
) -> None:
    response = await api.get(path, parameters)
    assert response.status_code == 400
    assert list(response.json()["details"]["parameters"]) == [name]


async def test_an_offset_beyond_all_rows_is_an_empty_page(api: Api, written: DirectoryWritten) -> None:
    everything(written)
    await written.write(api.store)
    found = await body(api, TEAMS, {"offset": "9" * 40, "limit": "1000"})
    assert found == {"data": [], "meta": {"count": 0, "total": 1, "next": None}}


@pytest.mark.parametrize("word", ["usage", "account-utilizations"])
async def test_words_of_the_contract_are_not_taken_for_ids(api: Api, written: DirectoryWritten, word: str) -> None:
    everything(written)
    await written.write(api.store)
    response = await api.get(f"/api/v1/team/{word}")
    assert response.status_code == 400
    assert "teamId" in response.json()["details"]["parameters"]
    assert (await api.get("/api/v1/user/usage")).status_code == 400
    assert (await api.get("/api/v1/user/account-utilizations")).status_code == 404


@pytest.mark.parametrize("path", [TEAMS, USER])
async def test_a_record_that_cannot_be_read_is_an_error_not_an_absence(
    api: Api, written: DirectoryWritten, path: str
) -> None:
    everything(written)
    await written.write(api.store)
    for partition in range(PARTITIONS):
        prefix = epoch_prefix(tags(PARTITIONS)[partition], written.epoch)
        key = directory_key(prefix, OrganizationId("acme"), directory_bucket("u/ada"))
        if (fields := api.store.partitions[partition].hashes.get(key)) is not None:
            fields[b"u/ada"] = encode_record({"not": "stored"})
    assert (await api.get(path)).status_code == 500


@pytest.mark.parametrize("role", Role)
async def test_the_organization_is_for_every_role(api: Api, written: DirectoryWritten, role: Role) -> None:
    everything(written)
    await written.write(api.store)
    assert (await api.get(ORGANIZATION, headers=bearer(role=role))).status_code == 200


@pytest.mark.parametrize("leads", [None, ["core"]])
async def test_who_led_a_team_that_is_deleted_sees_its_members_no_more(
    api: Api, written: DirectoryWritten, leads: list[str] | None
) -> None:
    written.organization("acme")
    written.team("acme", "core")
    written.user("acme", "lea", role="TeamLead", teamId="core", leads=leads)
    written.user("acme", "bob", teamId="core")
    await written.write(api.store)
    assert (await api.get("/api/v1/user/bob", headers=bearer("acme", Role.TEAM_LEAD, "lea"))).status_code == 200
    written.delete(Thing.TEAM, "acme", "core")
    await written.write(api.store)
    assert (await api.get("/api/v1/user/bob", headers=bearer("acme", Role.TEAM_LEAD, "lea"))).status_code == 403
    assert (await api.get("/api/v1/user/lea", headers=bearer("acme", Role.TEAM_LEAD, "lea"))).status_code == 200
