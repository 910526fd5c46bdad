"""Who holds a role in the caller's organization."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response

from query_api.access import Access
from query_api.as_of_header import dated_answer, put_as_of
from query_api.auth import Caller
from query_api.directory_answers import role_holders
from query_api.lookups import Lookups
from query_api.openapi import error_answers
from query_api.policy import Operation
from query_api.schemas.users import PermissionUser
from services.tokens import Claims, Role


def permission_routes(lookups: Lookups, caller: Caller, access: Access) -> APIRouter:
    """Return the route."""
    routes = APIRouter(tags=["Permissions"])

    @routes.get(
        "/api/v1/instance/permissions",
        operation_id=Operation.PERMISSIONS,
        summary="Users of the caller's organization that hold a role, by id; deactivated ones are left out.",
        responses=dated_answer("The users, not paged.") | error_answers(400, 401, 403, 404, 500, 503),
    )
    async def instance_permissions(
        response: Response,
        claims: Annotated[Claims, Depends(caller)],
        role: Annotated[Role, Query(description="The role to look for.")],
    ) -> Sequence[PermissionUser]:
        organization = await access.organization(claims, Operation.PERMISSIONS)
        unit = await lookups.unit(organization)
        put_as_of(response, unit.as_of_ms)
        return role_holders(organization, unit.value, role)

    return routes
