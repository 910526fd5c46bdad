"""The gate's look-ups: as few as can be, none where the token alone decides."""

import pytest

from query_api.access import Access
from query_api.errors import ApiError
from query_api.policy import Operation, Person
from services.api_keys import ApiKey, ApiKeyId
from services.identifiers import OrganizationId, TeamId, UserId
from services.tokens import Claims, Role

ACME, CHILD, RIVAL = OrganizationId("acme"), OrganizationId("child"), OrganizationId("rival")
CORE, WEB = TeamId("core"), TeamId("web")
ADA, BOB, NOBODY = UserId("ada"), UserId("bob"), UserId("nobody")


class Watched:
    """Facts about acme and its child that note what was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def person(self, organization: OrganizationId, user: UserId) -> Person | None:
        self.asked.append(f"{organization}/{user}")
        return {(ACME, ADA): Person(team=CORE, leads=(CORE,)), (ACME, BOB): Person(team=CORE, leads=None)}.get(
            (organization, user)
        )

    async def root_of(self, organization: OrganizationId) -> OrganizationId | None:
        self.asked.append(organization)
        return {ACME: ACME, CHILD: ACME, RIVAL: RIVAL}.get(organization)


class Empty:
    async def person(self, *_: object) -> Person | None:
        return None

    async def root_of(self, *_: object) -> OrganizationId | None:
        return None


@pytest.fixture
def facts() -> Watched:
    return Watched()


@pytest.fixture
def access(facts: Watched) -> Access:
    return Access(facts)


def claims(role: Role, organization: OrganizationId = ACME, user: UserId = ADA) -> Claims:
    return Claims(subject=user, organization=organization, role=role)


async def refusal(call: object) -> ApiError:
    with pytest.raises(ApiError) as error:
        await call  # type: ignore[misc]
    return error.value


@pytest.mark.parametrize("role", [Role.ADMIN, Role.MANAGER])
async def test_administrators_of_the_own_organization_need_no_look_up(
    access: Access, facts: Watched, role: Role
) -> None:
    for organization in (None, ACME):
        assert await access.organization(claims(role), Operation.LICENSE, organization) == ACME
        assert await access.team(claims(role), Operation.TEAM, TeamId("no such"), organization) == ACME
        assert await access.user(claims(role), Operation.USER, NOBODY, organization) == ACME
    assert facts.asked == []


async def test_what_a_role_alone_decides_needs_no_look_up(access: Access, facts: Watched) -> None:
    for role in (Role.TEAM_LEAD, Role.MEMBER):
        assert (await refusal(access.organization(claims(role), Operation.LICENSE))).status == 403
        assert await access.organization(claims(role), Operation.TEAMS) == ACME
        assert await access.user(claims(role), Operation.USER, ADA) == ACME
    assert (await refusal(access.user(claims(Role.MEMBER), Operation.USER, BOB))).status == 403
    assert facts.asked == []


@pytest.mark.parametrize("role", [Role.TEAM_LEAD, Role.MEMBER])
@pytest.mark.parametrize("organization", [CHILD, RIVAL, OrganizationId("nowhere")])
async def test_another_organization_is_decided_by_the_token_alone(
    access: Access, facts: Watched, role: Role, organization: OrganizationId
) -> None:
    caller = claims(role)
    assert (await refusal(access.organization(caller, Operation.TEAMS, organization))).status == 404
    assert (await refusal(access.organization(caller, Operation.QUOTA_USAGE, organization))).status == 404
    assert (await refusal(access.team(caller, Operation.TEAM, CORE, organization))).status == 403
    assert (await refusal(access.user(caller, Operation.USER, ADA, organization))).status == 403
    assert facts.asked == []


async def test_an_administrator_elsewhere_asks_for_the_root_and_for_nothing_of_the_target(
    access: Access, facts: Watched
) -> None:
    caller = claims(Role.ADMIN)
    assert await access.user(caller, Operation.USER, BOB, CHILD) == CHILD
    assert (await refusal(access.user(caller, Operation.USER, BOB, RIVAL))).status == 403
    assert (await refusal(access.organization(caller, Operation.QUOTA_USAGE, RIVAL))).status == 404
    assert facts.asked == [CHILD, RIVAL, RIVAL]


async def test_a_foreign_organization_is_answered_as_one_that_does_not_exist(access: Access) -> None:
    for operation in (Operation.ORGANIZATION_USAGE, Operation.QUOTA_USAGE):
        messages = {
            (await refusal(access.organization(claims(role), operation, OrganizationId(organization)))).message
            for role in Role
            for organization in ("rival", "nowhere")
        }
        assert len(messages) == 1


async def test_the_permissions_are_the_callers_organizations_only(access: Access) -> None:
    admin = claims(Role.ADMIN)
    assert await access.organization(admin, Operation.PERMISSIONS, ACME) == ACME
    assert (await refusal(access.organization(admin, Operation.PERMISSIONS, CHILD))).status == 404


async def test_a_lead_who_asks_for_somebody_unknown_is_refused_and_an_administrator_is_not(access: Access) -> None:
    lead = claims(Role.TEAM_LEAD)
    assert (await refusal(access.user(lead, Operation.USER, NOBODY))).status == 403
    assert await access.user(lead, Operation.USER, BOB) == ACME
    assert await access.user(claims(Role.ADMIN), Operation.USER, NOBODY) == ACME


async def test_the_key_of_a_root_covers_its_descendants(access: Access) -> None:
    def key_of(organization: OrganizationId) -> Claims:
        key = ApiKey(id=ApiKeyId("0"), organization=organization, name="", created_ms=0, expires_ms=None)
        return key.claims()

    assert await access.organization(key_of(ACME), Operation.QUOTA_USAGE, CHILD) == CHILD
    assert (await refusal(access.organization(key_of(CHILD), Operation.QUOTA_USAGE, ACME))).status == 404


async def test_an_empty_directory_leaves_administrators_their_organization_and_everybody_themselves() -> None:
    access = Access(Empty())
    assert await access.team(claims(Role.ADMIN), Operation.TEAM_USAGE, CORE) == ACME
    assert await access.user(claims(Role.MEMBER), Operation.USER_USAGE, ADA) == ACME
    for role in (Role.TEAM_LEAD, Role.MEMBER):
        assert (await refusal(access.team(claims(role), Operation.TEAM_USAGE, CORE))).status == 403
