from collections.abc import Mapping
from typing import Any

import pytest

from services.directory import Thing
from services.tokens import Role
from services.windows import HOUR_MS, rfc3339
from tests.support.api_in_process import NOW_HOUR, Api, bearer
from tests.support.directory_written import DirectoryWritten

USAGE = "/organizations/quota/usage"
TIER = "/organizations/quota/current-tier"
TIERS = "/organizations/quota/all-tiers"
BELOW = "/organizations/suborganizations"
OF_ORGANIZATION = [USAGE, TIER, BELOW]
NOW = rfc3339(NOW_HOUR * HOUR_MS)


def asking(organization: str, caller: str | None = None, role: Role = Role.ADMIN) -> dict[str, str]:
    return bearer(caller or organization, role) | {"SlashID-OrgID": organization}


async def result(api: Api, path: str, organization: str = "acme", parameters: Mapping[str, str] | None = None) -> Any:
    response = await api.get(path, parameters, asking(organization))
    assert response.status_code == 200, response.text
    body = response.json()
    assert body["errors"] == []
    return body["result"]


async def test_usage_counts_the_hierarchy_against_the_roots_tier(api: Api, written: DirectoryWritten) -> None:
    written.organization("acme", tier="professional")
    written.organization("eu", parentId="acme")
    written.organization("eu-west", parentId="eu", tier="enterprise")
    written.organization("rival")
    for organization, user in (("acme", "ada"), ("eu", "ada"), ("eu", "bob"), ("eu-west", "cyd"), ("rival", "dan")):
        written.user(organization, user, status="deactivated" if user == "bob" else "registered")
    for organization, group in (("acme", "g"), ("eu", "g"), ("rival", "h")):
        written.group(organization, group)
    await written.write(api.store)
    response = await api.get(USAGE, headers=asking("acme"))
    assert response.headers["Tidemark-As-Of"] == NOW
    assert response.json() == {
        "meta": {},
        "errors": [],
        "result": {
            "pricing_tier_details": {
                "name": "professional",
                "custom_templates_allowed": True,
                "nhi_external_connections_allowed": False,
                "max_suborganizations": 10,
                "max_persons": 5_000,
                "max_groups": 100,
            },
            "num_suborganizations": 2,
            "num_persons": 3,
            "num_groups": 2,
            "headroom": {"suborganizations": 8, "persons": 4_997, "groups": 98},
            "utilization": {"suborganizations": 0.2, "persons": 0.001, "groups": 0.02},
            "asOf": NOW,
        },
    }


async def test_an_organization_below_counts_itself_and_is_not_told_what_the_hierarchy_has_left(
    api: Api, written: DirectoryWritten
) -> None:
    written.organization("acme", tier="professional")
    written.organization("eu", parentId="acme", tier="enterprise")
    written.organization("eu-west", parentId="eu")
    for organization in ("acme", "eu", "eu-west"):
        written.user(organization, f"only-{organization}")
    await written.write(api.store)
    found = await result(api, USAGE, "eu")
    assert found.pop("pricing_tier_details")["name"] == "professional"
    assert found == {"num_suborganizations": 1, "num_persons": 2, "num_groups": 0, "asOf": NOW}


async def test_limits_can_be_passed_and_no_limit_is_null(api: Api, written: DirectoryWritten) -> None:
    written.organization("acme", tier="free-trial")
    for number in range(3):
        written.organization(f"sub-{number}", parentId="acme")
    await written.write(api.store)
    found = await result(api, USAGE)
    assert found["headroom"] == {"suborganizations": -1, "persons": 100, "groups": 10}
    assert found["utilization"] == {"suborganizations": 1.5, "persons": 0.0, "groups": 0.0}
    written.organization("acme", tier="enterprise")
    await written.write(api.store)
    found = await result(api, USAGE)
    assert found["pricing_tier_details"]["max_persons"] is None
    nothing = {"suborganizations": None, "persons": None, "groups": None}
    assert (found["headroom"], found["utilization"]) == (nothing, nothing)


async def test_the_counts_follow_moves_and_deletes(api: Api, written: DirectoryWritten) -> None:
    async def counts(organization: str) -> tuple[int, int, int]:
        found = await result(api, USAGE, organization)
        return found["num_suborganizations"], found["num_persons"], found["num_groups"]

    written.organization("acme", tier="professional")
    written.organization("other", tier="enterprise")
    written.organization("eu", parentId="acme")
    written.organization("eu-west", parentId="eu")
    written.user("eu-west", "ada")
    written.group("eu-west", "g")
    await written.write(api.store)
    assert (await counts("acme"), await counts("other")) == ((2, 1, 1), (0, 0, 0))
    written.organization("eu", parentId="other")
    await written.write(api.store)
    assert (await counts("acme"), await counts("other")) == ((0, 0, 0), (2, 1, 1))
    assert (await result(api, TIER, "eu-west"))["name"] == "enterprise"
    written.delete(Thing.USER, "eu-west", "ada")
    written.delete(Thing.GROUP, "eu-west", "g")
    await written.write(api.store)
    assert await counts("other") == (2, 0, 0)
    written.delete(Thing.ORGANIZATION, "eu")
    await written.write(api.store)
    assert (await counts("other"), await counts("eu-west")) == ((0, 0, 0), (0, 0, 0))
    assert (await result(api, TIER, "eu-west"))["name"] == "free-trial"


async def test_the_tier_is_the_roots_whatever_the_organizations_own_says(api: Api, written: DirectoryWritten) -> None:
    written.organization("acme", tier="identity-protection")
    written.organization("eu", parentId="acme", tier="enterprise")
    written.organization("lost", parentId="nobody", tier="enterprise")
    written.organization("plain")
    written.organization("odd", tier="platinum")
    written.organization("one", parentId="two", tier="enterprise")
    written.organization("two", parentId="one")
    await written.write(api.store)
    expected = {
        "acme": "identity-protection",
        "eu": "identity-protection",
        "lost": "enterprise",
        "plain": "free-trial",
        "odd": "free-trial",
        "one": "enterprise",
        "two": "free-trial",
    }
    assert {each: (await result(api, TIER, each))["name"] for each in expected} == expected
    assert (await result(api, TIER))["asOf"] == NOW


async def test_in_a_cycle_there_is_no_root_and_so_nothing_left_of_its_limits(
    api: Api, written: DirectoryWritten
) -> None:
    written.organization("one", parentId="two")
    written.organization("two", parentId="one")
    await written.write(api.store)
    found = await result(api, USAGE, "one")
    assert found["num_suborganizations"] == 1
    assert "headroom" not in found
    assert "utilization" not in found


async def test_all_tiers_come_in_the_order_of_the_file_and_need_no_organization(api: Api) -> None:
    response = await api.get(TIERS)
    assert response.status_code == 200
    names = [tier["name"] for tier in response.json()["result"]]
    assert names == ["free-trial", "professional", "enterprise", "enterprise-with-nhi", "identity-protection"]
    assert response.json()["result"][2]["max_groups"] is None


async def test_suborganizations_are_all_descendants_level_by_level(api: Api, written: DirectoryWritten) -> None:
    written.organization("acme")
    written.organization("b", parentId="acme", name="Beta")
    written.organization("a", parentId="acme", name="Alpha")
    written.organization("a-1", parentId="a", name="Alphabet")
    written.organization("rival")
    await written.write(api.store)
    response = await api.get(BELOW, headers=asking("acme"))
    assert response.json() == {
        "meta": {"pagination": {"limit": 5000, "offset": 0, "total_count": 3}},
        "errors": [],
        "result": ["a", "b", "a-1"],
    }
    assert await result(api, BELOW, "a") == ["a-1"]
    assert await result(api, BELOW, "rival") == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('name sw "alpha"', ["a", "a-1"]),
        ('parent_org_id eq "acme"', ["a", "b"]),
        ('parent_org_id eq "acme" and not (name eq "Beta")', ["a"]),
        ('id eq "acme"', []),
        ('id eq "rival"', []),
    ],
)
async def test_a_filter_chooses_among_the_descendants(
    api: Api, written: DirectoryWritten, text: str, expected: list[str]
) -> None:
    written.organization("acme")
    written.organization("a", parentId="acme", name="Alpha")
    written.organization("b", parentId="acme", name="Beta")
    written.organization("a-1", parentId="a", name="Alphabet")
    written.organization("rival")
    await written.write(api.store)
    assert await result(api, BELOW, "acme", {"filter": text}) == expected


@pytest.mark.parametrize("text", ["", "name", 'tier eq "x"', f'name eq "{"x" * 1000}"'])
async def test_what_is_no_filter_is_a_400_that_names_it(api: Api, written: DirectoryWritten, text: str) -> None:
    written.organization("acme")
    await written.write(api.store)
    response = await api.get(BELOW, {"filter": text}, asking("acme"))
    assert response.status_code == 400
    assert "filter: " in response.text


@pytest.mark.parametrize("path", OF_ORGANIZATION)
async def test_an_organization_that_the_directory_does_not_know_is_not_found(
    api: Api, written: DirectoryWritten, path: str
) -> None:
    assert (await api.get(path, headers=asking("acme"))).status_code == 404
    written.organization("acme")
    written.delete(Thing.ORGANIZATION, "acme")
    await written.write(api.store)
    assert (await api.get(path, headers=asking("acme"))).status_code == 404


@pytest.mark.parametrize("path", OF_ORGANIZATION)
async def test_another_organization_is_not_found(api: Api, written: DirectoryWritten, path: str) -> None:
    written.organization("acme")
    written.organization("rival")
    await written.write(api.store)
    assert (await api.get(path, headers=asking("acme", "rival"))).status_code == 404


@pytest.mark.parametrize("path", OF_ORGANIZATION)
@pytest.mark.parametrize("given", [{}, {"SlashID-OrgID": ""}, {"SlashID-OrgID": "a/b"}, {"SlashID-OrgID": "x" * 129}])
async def test_the_organization_must_be_given_and_be_an_id(api: Api, path: str, given: dict[str, str]) -> None:
    assert (await api.get(path, headers=bearer() | given)).status_code == 400


async def test_an_organizations_id_in_the_header_is_read_as_utf_8(api: Api, written: DirectoryWritten) -> None:
    written.organization("büro")
    await written.write(api.store)
    for coding in ("utf-8", "latin-1"):
        headers = {name.encode(): value.encode(coding) for name, value in asking("büro").items()}
        response = await api.client.get(TIER, headers=headers)
        assert response.status_code == 200


@pytest.mark.parametrize("path", [*OF_ORGANIZATION, TIERS])
async def test_every_call_wants_to_know_who_asks(api: Api, path: str) -> None:
    assert (await api.get(path, headers={"SlashID-OrgID": "acme"})).status_code == 401


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("path", [*OF_ORGANIZATION, TIERS])
async def test_every_role_may_ask_about_its_own_organization(
    api: Api, written: DirectoryWritten, path: str, role: Role
) -> None:
    written.organization("acme")
    await written.write(api.store)
    assert (await api.get(path, headers=asking("acme", role=role))).status_code == 200


async def test_how_many_organizations_one_call_counts_or_lists_is_bounded(
    api: Api, written: DirectoryWritten, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("query_api.quota", "query_api.routes.quota"):
        monkeypatch.setattr(f"{module}.ORGANIZATIONS_MAX", 3)
    written.organization("acme")
    for number in range(2):
        written.organization(f"sub-{number}", parentId="acme")
    await written.write(api.store)
    assert (await result(api, USAGE))["num_suborganizations"] == 2
    for number in range(4):
        written.organization(f"sub-{number}", parentId="acme")
    await written.write(api.store)
    for path in (USAGE, BELOW):
        response = await api.get(path, headers=asking("acme"))
        assert response.status_code == 400
        assert "more than 3 organizations" in response.text
    assert await result(api, BELOW, "acme", {"filter": 'id eq "sub-1"'}) == ["sub-1"]
    assert (await result(api, TIER))["name"] == "free-trial"


async def test_as_of_is_the_least_of_all_slots_read(api: Api, written: DirectoryWritten) -> None:
    written.organization("acme")
    written.organization("eu", parentId="acme")
    await written.write(api.store)
    written.read_up_to_ms = None
    await written.write(api.store)
    assert (await result(api, USAGE))["asOf"] is None
    response = await api.get(USAGE, headers=asking("acme"))
    assert "Tidemark-As-Of" not in response.headers


@pytest.mark.parametrize("path", OF_ORGANIZATION)
async def test_two_organization_headers_are_refused_whichever_comes_first(
    api: Api, written: DirectoryWritten, path: str
) -> None:
    written.organization("acme")
    written.organization("eu", parentId="acme")
    await written.write(api.store)
    for first, second in (("acme", "eu"), ("eu", "acme"), ("acme", "acme")):
        headers = [*bearer("acme").items(), ("SlashID-OrgID", first), ("slashid-orgid", second)]
        response = await api.client.get(path, headers=headers)
        assert response.status_code == 400, response.text
        assert response.json()["errors"][0]["message"] == "SlashID-OrgID: it is given more than once"
