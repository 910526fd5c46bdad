"""From what the directory says to the shapes of the answers. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from query_api.directory import UserInTeam
from query_api.paging import Page
from query_api.schemas.organizations import License, Organization, Team
from query_api.schemas.paging import Meta, Next
from query_api.schemas.teams import TeamUtilization
from query_api.schemas.users import PermissionUser, TeamUser, UserInfo, UserInfoResponse, UserTeam
from query_api.snapshot import NO_USERS, OrganizationSnapshot, User
from query_api.snapshot import Team as KnownTeam
from query_api.tree import Organization as KnownOrganization
from services.directory import Status
from services.identifiers import OrganizationId, TeamId

_ORGANIZATION_DETAILS: Final = (
    "publicKey", "samlEnabled", "smtpConfigured", "usernamePasswordEnabled", "domains", "planType",
)  # fmt: skip


def organization_answer(organization: KnownOrganization) -> Organization:
    details = {name: organization.details[name] for name in _ORGANIZATION_DETAILS if name in organization.details}
    return Organization(id=organization.id, name=organization.name, **details)


def team_row(unit: OrganizationSnapshot, team: KnownTeam) -> Team:
    users_count = unit.heads.get(team.id, NO_USERS).registered
    return Team(id=team.id, name=team.name, users_count=users_count, is_default_team=team.is_default)


def team_utilization(unit: OrganizationSnapshot, team: TeamId) -> TeamUtilization:
    heads = unit.heads.get(team, NO_USERS)
    return TeamUtilization(registered=heads.registered, deactivated=heads.deactivated, invited=heads.invited)


def user_row(user: User) -> TeamUser:
    return TeamUser(
        id=user.id,
        username=user.username,
        email=user.email,
        role=user.role,
        verified=user.verified,
        deactivated_at=user.deactivated_at,
        updated_at=user.updated_at,
    )


def user_info(organization: OrganizationId, found: UserInTeam) -> UserInfoResponse:
    user, team = found.user, found.team
    return UserInfoResponse(
        user=UserInfo(
            organization_id=organization,
            user_id=user.id,
            email=user.email,
            role=user.role,
            created_at=user.created_at,
            updated_at=user.updated_at,
        ),
        teams=UserTeam(team_id=user.team, team_name=None if team is None else team.name),
    )


def role_holders(organization: OrganizationId, unit: OrganizationSnapshot, role: str) -> Sequence[PermissionUser]:
    """Return the users with a role that are not deactivated, by id."""
    return [
        PermissionUser(username=user.username, organization_id=organization)
        for user in unit.users
        if user.role == role and user.status is not Status.DEACTIVATED
    ]


def license_in_force(licenses: Sequence[Mapping[str, Any]]) -> License | None:
    """Return the licence that was issued last; of several issued at once the one that ends last."""
    if not licenses:
        return None
    return License(**max(licenses, key=lambda record: (record["iat"], record["exp"])))


def meta(page: Page[Any]) -> Meta:
    following = None if page.next_offset is None else Next(limit=page.limit, offset=page.next_offset)
    return Meta(count=len(page.rows), total=page.total, next=following)
