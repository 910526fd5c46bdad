"""One user of the caller's organization."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Response

from query_api.access import Access
from query_api.as_of_header import dated_answer, put_as_of
from query_api.auth import Caller
from query_api.directory_answers import user_info
from query_api.lookups import Lookups
from query_api.openapi import error_answers
from query_api.parameters import Id
from query_api.policy import Operation
from query_api.schemas.users import UserInfoResponse
from services.identifiers import UserId
from services.tokens import Claims


def user_routes(lookups: Lookups, caller: Caller, access: Access) -> APIRouter:
    """Return the route."""
    routes = APIRouter(tags=["Users"])

    @routes.get(
        "/api/v1/user/{user_id}",
        operation_id=Operation.USER,
        summary="Profile of one user with the user's team.",
        responses=dated_answer("The user and the team.") | error_answers(400, 401, 403, 404, 500, 503),
    )
    async def user_(
        response: Response,
        claims: Annotated[Claims, Depends(caller)],
        user_id: Annotated[str, Id, Path(description="The user.")],
    ) -> UserInfoResponse:
        user = UserId(user_id)
        organization = await access.user(claims, Operation.USER, user)
        found = await lookups.user(organization, user)
        put_as_of(response, found.as_of_ms)
        return user_info(organization, found.value)

    return routes
