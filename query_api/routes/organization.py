"""The caller's organization as the directory has it: itself, its teams, its users."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response

from query_api.access import Access
from query_api.as_of_header import dated_answer, put_as_of
from query_api.auth import Caller
from query_api.directory_answers import meta, organization_answer, team_row, user_row
from query_api.lookups import Lookups
from query_api.openapi import error_answers
from query_api.paging import page_of
from query_api.parameters import Boolean, LimitParameter, OffsetParameter
from query_api.policy import Operation
from query_api.schemas.organizations import Organization, TeamListResponse
from query_api.schemas.users import PaginatedUsersResponse
from services.directory import Status
from services.tokens import Claims

TeamMemberParameter = Annotated[
    Boolean, Query(alias="teamMember", description="true keeps the users that have a team, false those without.")
]
ActiveParameter = Annotated[
    Boolean, Query(description="true keeps registered users, false deactivated ones; invited ones are in neither.")
]


def organization_routes(lookups: Lookups, caller: Caller, access: Access) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(tags=["Organization"])
    claims_of = Depends(caller)

    @routes.get(
        "/api/v1/organization",
        operation_id=Operation.ORGANIZATION,
        summary="Identity and settings of the caller's organization.",
        responses=dated_answer("The organization.") | error_answers(400, 401, 404, 500, 503),
    )
    async def organization_(response: Response, claims: Annotated[Claims, claims_of]) -> Organization:
        organization = await access.organization(claims, Operation.ORGANIZATION)
        found = await lookups.organization(organization)
        put_as_of(response, found.as_of_ms)
        return organization_answer(found.value)

    @routes.get(
        "/api/v1/organization/teams",
        operation_id=Operation.TEAMS,
        summary="Teams of the caller's organization, by id.",
        responses=dated_answer("One page of teams.") | error_answers(400, 401, 404, 500, 503),
    )
    async def organization_teams(
        response: Response,
        claims: Annotated[Claims, claims_of],
        offset: OffsetParameter = 0,
        limit: LimitParameter = 0,
    ) -> TeamListResponse:
        unit = await lookups.unit(await access.organization(claims, Operation.TEAMS))
        page = page_of(list(unit.value.teams.values()), offset=offset, limit=limit)
        put_as_of(response, unit.as_of_ms)
        return TeamListResponse(data=page.of(lambda team: team_row(unit.value, team)), meta=meta(page))

    @routes.get(
        "/api/v1/organization/users",
        operation_id=Operation.ORGANIZATION_USERS,
        summary="Users of the caller's organization, by id, those with a team or without, registered or deactivated.",
        responses=dated_answer("One page of users.") | error_answers(400, 401, 403, 404, 500, 503),
    )
    async def organization_users(
        response: Response,
        claims: Annotated[Claims, claims_of],
        offset: OffsetParameter,
        limit: LimitParameter,
        team_member: TeamMemberParameter,
        active: ActiveParameter,
    ) -> PaginatedUsersResponse:
        unit = await lookups.unit(await access.organization(claims, Operation.ORGANIZATION_USERS))
        status = Status.REGISTERED if active else Status.DEACTIVATED
        page = page_of(unit.value.listed(in_team=team_member, status=status), offset=offset, limit=limit)
        put_as_of(response, unit.as_of_ms)
        return PaginatedUsersResponse(data=page.of(user_row), meta=meta(page))

    return routes
