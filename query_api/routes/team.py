"""One team of the caller's organization: its head-counts, its members, its name."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Response

from query_api.access import Access
from query_api.as_of_header import dated_answer, put_as_of
from query_api.auth import Caller
from query_api.directory_answers import meta, team_utilization, user_row
from query_api.lookups import Lookups
from query_api.openapi import error_answers
from query_api.paging import page_of
from query_api.parameters import Id, LimitParameter, OffsetParameter
from query_api.policy import Operation
from query_api.schemas.teams import TeamName, TeamUtilization
from query_api.schemas.users import TeamUsersResponse
from services.identifiers import TeamId
from services.tokens import Claims

TeamInPath = Annotated[str, Id, Path(alias="teamId", description="The team.")]
TeamInQuery = Annotated[str, Id, Query(alias="teamId", description="The team.")]


def team_routes(lookups: Lookups, caller: Caller, access: Access) -> APIRouter:
    """Return the routes; the one whose path is a word comes before those that take a team there (notes A15)."""
    routes = APIRouter(tags=["Teams"])
    claims_of = Depends(caller)
    errors = error_answers(400, 401, 403, 404, 500, 503)

    @routes.get(
        "/api/v1/team/account-utilizations",
        operation_id=Operation.TEAM_UTILIZATION,
        summary="Present head-counts of one team.",
        responses=dated_answer("Its members by status.") | errors,
    )
    async def team_account_utilizations(
        response: Response, claims: Annotated[Claims, claims_of], team_id: TeamInQuery
    ) -> TeamUtilization:
        team = TeamId(team_id)
        unit = await lookups.unit_of_team(await access.team(claims, Operation.TEAM_UTILIZATION, team), team)
        put_as_of(response, unit.as_of_ms)
        return team_utilization(unit.value, team)

    @routes.get(
        "/api/v1/team/{teamId}/users",
        operation_id=Operation.TEAM_USERS,
        summary="Members of one team, by id, whatever their status.",
        responses=dated_answer("One page of members.") | errors,
    )
    async def team_users(
        response: Response,
        claims: Annotated[Claims, claims_of],
        team_id: TeamInPath,
        offset: OffsetParameter,
        limit: LimitParameter,
    ) -> TeamUsersResponse:
        team = TeamId(team_id)
        unit = await lookups.unit_of_team(await access.team(claims, Operation.TEAM_USERS, team), team)
        page = page_of(unit.value.members.get(team, ()), offset=offset, limit=limit)
        put_as_of(response, unit.as_of_ms)
        return TeamUsersResponse(data=page.of(user_row), meta=meta(page))

    @routes.get(
        "/api/v1/team/{teamId}",
        operation_id=Operation.TEAM,
        summary="Id and name of one team.",
        responses=dated_answer("Id and name.") | errors,
    )
    async def team_(response: Response, claims: Annotated[Claims, claims_of], team_id: TeamInPath) -> TeamName:
        team = TeamId(team_id)
        found = await lookups.team(await access.team(claims, Operation.TEAM, team), team)
        put_as_of(response, found.as_of_ms)
        return TeamName(id=team, name=found.value.name)

    return routes
