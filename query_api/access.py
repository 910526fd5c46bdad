"""The gate that every route passes before it looks anything up: the policy, with as few look-ups as it needs.

What the token alone decides is decided first. Only for an Admin or Manager whose organization is not the one asked
about, and for a TeamLead or Member who asks about somebody else, the directory is read.
"""

from http import HTTPStatus
from typing import Protocol

from query_api.errors import ApiError, not_found
from query_api.policy import Operation, Person, Reach, may_see_other, may_see_team, reach, spans_descendants
from services.identifiers import OrganizationId, TeamId, UserId
from services.tokens import Claims

__all__ = ["Access", "Facts", "Person"]


class Facts(Protocol):
    """What the policy asks of the directory, as it stands now.

    Both raise `services.counters.StoreUnavailable` and `StoreRefused` as the store does.
    """

    async def person(self, organization: OrganizationId, user: UserId, /) -> Person | None:
        """Return a user of an organization; None for one that the directory does not know, or has deleted."""
        ...

    async def root_of(self, organization: OrganizationId, /) -> OrganizationId | None:
        """Return the root above an organization, itself for a root; None where there is none."""
        ...


class Access:
    """Lets a call through, or ends it with the `ApiError` of its answer.

    Each method takes the organization that the call names, None for a call that names none, and returns the one to
    answer for.
    """

    def __init__(self, facts: Facts) -> None:
        self._facts = facts

    async def organization(
        self, claims: Claims, operation: Operation, organization: OrganizationId | None = None
    ) -> OrganizationId:
        """Pass a call about a whole organization, of the usage family or the quota family.

        Raises:
            ApiError: 404 for an organization that the caller may not know of, 403 for the caller's role.
        """
        asked = await self._organization(claims, operation, organization, foreign=not_found())
        if reach(claims.role, operation) is Reach.NONE:
            raise _refused(claims)
        return asked

    async def team(
        self, claims: Claims, operation: Operation, team: TeamId, organization: OrganizationId | None = None
    ) -> OrganizationId:
        """Pass a call about a team, whether it exists or not.

        Raises:
            ApiError: 403.
        """
        asked = await self._organization(claims, operation, organization, foreign=_foreign())
        within = reach(claims.role, operation)
        caller = None if within is Reach.ALL else await self._facts.person(asked, claims.subject)
        if not may_see_team(within, caller, team):
            raise _refused(claims)
        return asked

    async def user(
        self, claims: Claims, operation: Operation, user: UserId, organization: OrganizationId | None = None
    ) -> OrganizationId:
        """Pass a call about a user, whether there is one or not.

        Raises:
            ApiError: 403.
        """
        asked = await self._organization(claims, operation, organization, foreign=_foreign())
        if user != claims.subject and not await self._may_see_other(reach(claims.role, operation), claims, user):
            raise _refused(claims)
        return asked

    async def _organization(
        self, claims: Claims, operation: Operation, asked: OrganizationId | None, *, foreign: ApiError
    ) -> OrganizationId:
        if asked is None or asked == claims.organization:
            return claims.organization
        if not spans_descendants(claims.role, operation):
            raise foreign
        if await self._facts.root_of(asked) != claims.organization:
            raise foreign
        return asked

    async def _may_see_other(self, within: Reach, claims: Claims, user: UserId) -> bool:
        if within is not Reach.LED:
            return may_see_other(within, None, None)
        caller = await self._facts.person(claims.organization, claims.subject)
        return may_see_other(within, caller, await self._facts.person(claims.organization, user))


def _foreign() -> ApiError:
    return ApiError(HTTPStatus.FORBIDDEN, "the caller belongs to another organization")


def _refused(claims: Claims) -> ApiError:
    return ApiError(HTTPStatus.FORBIDDEN, f"a {claims.role} may not ask this")
