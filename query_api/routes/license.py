"""The licence of the caller's organization."""

from typing import Annotated

from fastapi import APIRouter, Depends, Response

from query_api.access import Access
from query_api.as_of_header import dated_answer, put_as_of
from query_api.auth import Caller
from query_api.directory_answers import license_in_force
from query_api.lookups import Lookups
from query_api.openapi import error_answers
from query_api.policy import Operation
from query_api.reading import UnknownScope
from query_api.schemas.organizations import LicenseResponse
from services.tokens import Claims


def license_routes(lookups: Lookups, caller: Caller, access: Access) -> APIRouter:
    """Return the route."""
    routes = APIRouter(tags=["License"])

    @routes.get(
        "/api/v1/license",
        operation_id=Operation.LICENSE,
        summary="The licence in force: the one issued last.",
        responses=dated_answer("The licence.") | error_answers(400, 401, 403, 404, 500, 503),
    )
    async def license_(response: Response, claims: Annotated[Claims, Depends(caller)]) -> LicenseResponse:
        unit = await lookups.unit(await access.organization(claims, Operation.LICENSE))
        in_force = license_in_force(unit.value.licenses)
        if in_force is None:
            raise UnknownScope
        put_as_of(response, unit.as_of_ms)
        return LicenseResponse(license=in_force)

    return routes
