"""The three usage calls of the contract: organization, team, user."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response

from query_api.access import Access
from query_api.auth import Caller
from query_api.openapi import IF_NONE_MATCH, usage_answers
from query_api.parameters import Id
from query_api.policy import Operation
from query_api.ranges import GranularityWord, parse_range
from query_api.reading import UsageReader
from query_api.schemas.usage import OrgUsageResponse, TeamUsageResponse, UserUsageResponse
from query_api.usage_answers import usage_answer
from services.identifiers import OrganizationId, TeamId, UserId
from services.keyspace import Scope
from services.tokens import Claims

_Instant: dict[str, Any] = {"format": "date-time"}

OrganizationParameter = Annotated[
    str, Id, Query(alias="organizationId", description="Organization to report on: the caller's, or one below it.")
]
TeamParameter = Annotated[str, Id, Query(alias="teamId", description="Team to report on.")]
UserParameter = Annotated[str, Id, Query(alias="userId", description="User to report on.")]
FromParameter = Annotated[
    str, Query(alias="from", description="Start of the range, RFC 3339, inclusive.", json_schema_extra=_Instant)
]
ToParameter = Annotated[str, Query(description="End of the range, RFC 3339, exclusive.", json_schema_extra=_Instant)]
GranularityParameter = Annotated[
    GranularityWord, Query(description="Width of a block; day, week, month and hour are synonyms.")
]


def usage_routes(reader: UsageReader, caller: Caller, access: Access) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(tags=["Usage"])
    claims_of = Depends(caller)

    @routes.get(
        "/api/v1/organization/usage",
        operation_id=Operation.ORGANIZATION_USAGE,
        response_model=OrgUsageResponse,
        summary="Usage of the whole organization, in blocks.",
        openapi_extra=IF_NONE_MATCH,
        responses=usage_answers(400, 401, 403, 404, 500, 503),
    )
    async def organization_usage(
        request: Request,
        claims: Annotated[Claims, claims_of],
        organization: OrganizationParameter,
        from_: FromParameter,
        to: ToParameter,
        granularity: GranularityParameter,
    ) -> Response:
        scope = Scope(organization=OrganizationId(organization))
        await access.organization(claims, Operation.ORGANIZATION_USAGE, scope.organization)
        asked = parse_range(from_, to, granularity)
        usage = await reader.usage(scope, asked)
        return usage_answer(request, asked, usage, {"organizationId": organization})

    @routes.get(
        "/api/v1/team/usage",
        operation_id=Operation.TEAM_USAGE,
        response_model=TeamUsageResponse,
        summary="Usage of one team, in blocks.",
        openapi_extra=IF_NONE_MATCH,
        responses=usage_answers(400, 401, 403, 404, 500, 503),
    )
    async def team_usage(
        request: Request,
        claims: Annotated[Claims, claims_of],
        organization: OrganizationParameter,
        team: TeamParameter,
        from_: FromParameter,
        to: ToParameter,
        granularity: GranularityParameter,
    ) -> Response:
        scope = Scope(organization=OrganizationId(organization), team=TeamId(team))
        await access.team(claims, Operation.TEAM_USAGE, TeamId(team), scope.organization)
        asked = parse_range(from_, to, granularity)
        usage = await reader.usage(scope, asked)
        return usage_answer(request, asked, usage, {"organizationId": organization, "teamId": team})

    @routes.get(
        "/api/v1/user/usage",
        operation_id=Operation.USER_USAGE,
        response_model=UserUsageResponse,
        summary="Usage of one user, in blocks; activeUsers is 0 or 1.",
        openapi_extra=IF_NONE_MATCH,
        responses=usage_answers(400, 401, 403, 404, 500, 503),
    )
    async def user_usage(
        request: Request,
        claims: Annotated[Claims, claims_of],
        organization: OrganizationParameter,
        user: UserParameter,
        from_: FromParameter,
        to: ToParameter,
        granularity: GranularityParameter,
    ) -> Response:
        scope = Scope(organization=OrganizationId(organization), user=UserId(user))
        await access.user(claims, Operation.USER_USAGE, UserId(user), scope.organization)
        asked = parse_range(from_, to, granularity)
        usage = await reader.usage(scope, asked)
        return usage_answer(request, asked, usage, {"organizationId": organization, "userId": user})

    return routes
