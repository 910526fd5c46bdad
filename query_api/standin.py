"""Stands in for `query_api.policy` and `query_api.access` until they land: the own organization, in any role."""

from enum import StrEnum
from http import HTTPStatus

from query_api.errors import ApiError, not_found
from services.identifiers import OrganizationId, TeamId, UserId
from services.tokens import Claims


class Operation(StrEnum):
    """The operations, by their ids in the served OpenAPI document."""

    ORGANIZATION = "getOrganization"
    TEAMS = "listOrganizationTeams"
    LICENSE = "getLicense"
    ACCOUNT_UTILIZATIONS = "getAccountUtilizations"
    PERMISSIONS = "getInstancePermissions"
    ORGANIZATION_USAGE = "getOrganizationUsage"
    ORGANIZATION_USERS = "getOrganizationUsers"
    TEAM = "getTeamName"
    TEAM_USERS = "getTeamUsers"
    TEAM_UTILIZATION = "getTeamUtilization"
    TEAM_USAGE = "getTeamUsage"
    USER = "getUserInfo"
    USER_USAGE = "getUserUsage"
    QUOTA_USAGE = "GetOrganizationsQuotaUsage"
    CURRENT_TIER = "GetOrganizationsQuotaCurrentTier"
    ALL_TIERS = "GetOrganizationsQuotaAllTiers"
    SUBORGANIZATIONS = "GetOrganizationsSuborganizations"


class Access:
    """Has the methods of the real one."""

    async def organization(
        self, claims: Claims, _operation: Operation, organization: OrganizationId | None = None
    ) -> OrganizationId:
        if organization not in (None, claims.organization):
            raise not_found()
        return claims.organization

    async def team(
        self, claims: Claims, _operation: Operation, _team: TeamId, organization: OrganizationId | None = None
    ) -> OrganizationId:
        if organization not in (None, claims.organization):
            raise ApiError(HTTPStatus.FORBIDDEN, "the token belongs to another organization")
        return claims.organization

    async def user(
        self, claims: Claims, _operation: Operation, _user: UserId, organization: OrganizationId | None = None
    ) -> OrganizationId:
        if organization not in (None, claims.organization):
            raise ApiError(HTTPStatus.FORBIDDEN, "the token belongs to another organization")
        return claims.organization
