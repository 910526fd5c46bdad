"""The quota calls: what a hierarchy of organizations uses, its tier, all tiers, and who belongs to it."""

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query, Response
from pydantic.json_schema import SkipJsonSchema

from query_api.access import Access
from query_api.as_of_header import dated_answer, put_as_of
from query_api.auth import Caller
from query_api.dated import Dated, oldest
from query_api.directory import DirectoryReader
from query_api.errors import ApiError
from query_api.openapi import error_answers
from query_api.parameters import ORGANIZATION_HEADER, Id, IdOfHeader
from query_api.policy import Operation
from query_api.quota import ORGANIZATIONS_MAX, Hierarchy, TooManyOrganizations, hierarchy_of, tier_of, used
from query_api.quota_answers import constraints, current_tier, usage_details
from query_api.reading import UnknownScope
from query_api.schemas.envelope import APIMeta, APIPagination, APIResponseBase
from query_api.schemas.quota import AllTiersResponse, CurrentTierResponse, QuotaUsageResponse, SuborganizationsResponse
from query_api.scim_filter import CHARACTERS_MAX, BadFilter, Candidate, Condition, parse_filter
from query_api.tiers import Tiers
from query_api.tree import Tree
from services.identifiers import OrganizationId
from services.tokens import Claims

OrganizationHeader = Annotated[
    str,
    Id,
    IdOfHeader,
    Header(alias=ORGANIZATION_HEADER, description="Organization the call is about: the caller's, or one below it."),
]
FilterParameter = Annotated[
    str | SkipJsonSchema[None],
    Query(
        alias="filter",
        max_length=CHARACTERS_MAX,
        description="SCIM filter (RFC 7644, section 3.4.2.2) over name, id and parent_org_id with eq, co, sw, and, or,"
        " not and parentheses. Names are compared whatever their case.",
    ),
]


def quota_routes(directory: DirectoryReader, tiers: Tiers, caller: Caller, access: Access) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(tags=["Quota"])
    claims_of = Depends(caller)
    every_tier = AllTiersResponse(result=tuple(map(constraints, tiers.by_name.values())))

    @routes.get(
        "/organizations/quota/usage",
        operation_id=Operation.QUOTA_USAGE,
        summary="What the organization and everything below it use, next to the limits of the root's tier.",
        responses=_answers("The counts and the limits."),
    )
    async def quota_usage(
        response: Response, claims: Annotated[Claims, claims_of], org_id: OrganizationHeader
    ) -> QuotaUsageResponse:
        organization = await access.organization(claims, Operation.QUOTA_USAGE, OrganizationId(org_id))
        tree = await _tree_with(directory, organization)
        # Who asks about another organization than its own has passed as one that reads the root above it.
        sees_root = claims.organization == tree.value.root_of(organization)
        hierarchy = _hierarchy(organization, tree.value, sees_root=sees_root)
        units = await directory.units(hierarchy.to_read)
        of_each = {each: unit.value for each, unit in units.items()}
        as_of_ms = oldest(tree.as_of_ms, *(unit.as_of_ms for unit in units.values()))
        put_as_of(response, as_of_ms)
        return QuotaUsageResponse(
            result=usage_details(
                tier_of(organization, tree.value, tiers),
                used(hierarchy.counted, of_each),
                None if hierarchy.whole is None else used(hierarchy.whole, of_each),
                as_of_ms,
            )
        )

    @routes.get(
        "/organizations/quota/current-tier",
        operation_id=Operation.CURRENT_TIER,
        summary="The tier of the organization's root, without counts.",
        responses=_answers("The limits."),
    )
    async def quota_current_tier(
        response: Response, claims: Annotated[Claims, claims_of], org_id: OrganizationHeader
    ) -> CurrentTierResponse:
        organization = await access.organization(claims, Operation.CURRENT_TIER, OrganizationId(org_id))
        tree = await _tree_with(directory, organization)
        put_as_of(response, tree.as_of_ms)
        return CurrentTierResponse(result=current_tier(tier_of(organization, tree.value, tiers), tree.as_of_ms))

    @routes.get(
        "/organizations/quota/all-tiers",
        operation_id=Operation.ALL_TIERS,
        summary="The limits of every tier. Takes no organization header.",
        responses=error_answers(400, 401, 403, 500, 503, body=APIResponseBase),
    )
    async def quota_all_tiers(claims: Annotated[Claims, claims_of]) -> AllTiersResponse:
        await access.organization(claims, Operation.ALL_TIERS)
        return every_tier

    @routes.get(
        "/organizations/suborganizations",
        operation_id=Operation.SUBORGANIZATIONS,
        tags=["Organizations"],
        summary="Ids of all organizations below the organization, at any depth.",
        responses=_answers("A flat list of ids."),
    )
    async def suborganizations(
        response: Response,
        claims: Annotated[Claims, claims_of],
        org_id: OrganizationHeader,
        filter_: FilterParameter = None,
    ) -> SuborganizationsResponse:
        organization = await access.organization(claims, Operation.SUBORGANIZATIONS, OrganizationId(org_id))
        condition = None if filter_ is None else _condition(filter_)
        tree = await _tree_with(directory, organization)
        found = _listed(organization, tree.value, condition)
        put_as_of(response, tree.as_of_ms)
        pagination = APIPagination(limit=ORGANIZATIONS_MAX, offset=0, total_count=len(found))
        return SuborganizationsResponse(meta=APIMeta(pagination=pagination), result=found)

    return routes


def _answers(description: str) -> dict[int | str, dict[str, Any]]:
    return dated_answer(description) | error_answers(400, 401, 403, 404, 500, 503, body=APIResponseBase)


async def _tree_with(directory: DirectoryReader, organization: OrganizationId) -> Dated[Tree]:
    """Return the tree, which must have the organization."""
    tree = await directory.tree()
    if organization not in tree.value.organizations:
        raise UnknownScope
    return tree


def _hierarchy(organization: OrganizationId, tree: Tree, *, sees_root: bool) -> Hierarchy:
    try:
        return hierarchy_of(organization, tree, sees_root=sees_root)
    except TooManyOrganizations as error:
        raise _bad_request(f"{error}: ask for one further down") from None


def _condition(text: str) -> Condition:
    try:
        return parse_filter(text)
    except BadFilter as error:
        raise _bad_request(f"filter: {error}") from None


def _listed(organization: OrganizationId, tree: Tree, condition: Condition | None) -> tuple[OrganizationId, ...]:
    below = tree.descendants(organization)
    found = tuple(each for each in below if condition is None or condition(_candidate(each, tree)))
    if len(found) > ORGANIZATIONS_MAX:
        raise _bad_request(f"more than {ORGANIZATIONS_MAX} organizations would have to be listed: give a filter")
    return found


def _candidate(organization: OrganizationId, tree: Tree) -> Candidate:
    name = tree.organizations[organization].name
    return Candidate(id=organization, name=name, parent=tree.parent(organization))


def _bad_request(sentence: str) -> ApiError:
    return ApiError(HTTPStatus.BAD_REQUEST, sentence)
