"""What became of the accounts of the caller's organization, month by month."""

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query, Response
from pydantic.json_schema import SkipJsonSchema

from query_api.access import Access
from query_api.as_of_header import dated_answer, put_as_of
from query_api.auth import Caller
from query_api.dated import oldest
from query_api.lookups import Lookups
from query_api.openapi import error_answers
from query_api.policy import Operation
from query_api.reading import UsageReader
from query_api.schemas.utilization import UtilizationMonth
from query_api.utilization import utilization_months
from services.tokens import Claims

# The pattern is the contract's; `query_api.utilization` reads its digits as ASCII ones, which pydantic would not.
_MONTH: Final[dict[str, Any]] = {"pattern": r"^\d{4}-\d{2}$"}

StartParameter = Annotated[
    str | SkipJsonSchema[None],
    Query(
        alias="startDate",
        description="First month wanted, as YYYY-MM, at most 72 back and all of its days kept. When left out, the last"
        " 12 months that are kept.",
        json_schema_extra=_MONTH,
    ),
]


def account_utilization_routes(lookups: Lookups, usage: UsageReader, caller: Caller, access: Access) -> APIRouter:
    """Return the route."""
    routes = APIRouter(tags=["Organization"])

    @routes.get(
        "/api/v1/organization/account-utilizations",
        operation_id=Operation.ACCOUNT_UTILIZATIONS,
        summary="One row per calendar month: users by status at its end, and those active in it.",
        responses=dated_answer("The months, ascending, without gaps, the current one last.")
        | error_answers(400, 401, 403, 404, 500, 503),
    )
    async def account_utilizations(
        response: Response, claims: Annotated[Claims, Depends(caller)], start_date: StartParameter = None
    ) -> Sequence[UtilizationMonth]:
        organization = await access.organization(claims, Operation.ACCOUNT_UTILIZATIONS)
        months = usage.months(start_date)
        unit, active = await asyncio.gather(lookups.unit(organization), usage.active_users(organization, months))
        put_as_of(response, oldest(unit.as_of_ms, active.as_of_ms))
        return utilization_months(months, unit.value, active.value)

    return routes
