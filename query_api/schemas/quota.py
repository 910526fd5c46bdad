"""The answers of the quota calls, and what we add to them: `headroom`, `utilization` and `asOf`."""

from pydantic import Field

from query_api.schemas.envelope import APIResponseBase
from query_api.schemas.members import Instant, Long, Maybe, PlainAnswer

_AS_OF = "Every directory event that came before this instant is in the numbers; null while that is unknown."
_NO_LIMIT = "; null is unlimited."


class PricingTierConstraints(PlainAnswer):
    """A tier and its limits, which bind the whole hierarchy of a root organization."""

    name: str = Field(description="Tier of the root organization; the names are those of the tiers file.")
    custom_templates_allowed: bool
    nhi_external_connections_allowed: bool
    max_suborganizations: Long | None = Field(description=f"Limit on descendants, the root not counted{_NO_LIMIT}")
    max_persons: Long | None = Field(description=f"Limit on persons{_NO_LIMIT}")
    max_groups: Long | None = Field(description=f"Limit on groups{_NO_LIMIT}")


class CurrentTier(PricingTierConstraints):
    """The tier of the organization's root."""

    as_of: Instant | None = Field(alias="asOf", description=_AS_OF)


class Headroom(PlainAnswer):
    """What the whole hierarchy has left of each limit: negative beyond it, null where there is none."""

    suborganizations: Long | None
    persons: Long | None
    groups: Long | None


class Utilization(PlainAnswer):
    """Used over limit of the whole hierarchy, to 3 decimals; null where there is no limit, or it is 0."""

    suborganizations: float | None
    persons: float | None
    groups: float | None


class OrganizationUsageDetails(PlainAnswer):
    """What the organization and everything below it have, and the limits of its root's tier.

    `headroom` and `utilization` are about the root's whole hierarchy, and are left out unless the organization is the
    root or the caller may read the root.
    """

    pricing_tier_details: PricingTierConstraints
    num_suborganizations: Long = Field(description="Descendants, the organization itself not counted.")
    num_persons: Long = Field(description="Distinct persons; one in two organizations counts once.")
    num_groups: Long
    headroom: Maybe[Headroom] = None
    utilization: Maybe[Utilization] = None
    as_of: Instant | None = Field(alias="asOf", description=_AS_OF)


class QuotaUsageResponse(APIResponseBase):
    """Counts and the limits they are measured against."""

    result: OrganizationUsageDetails


class CurrentTierResponse(APIResponseBase):
    """The limits, without the counts."""

    result: CurrentTier


class AllTiersResponse(APIResponseBase):
    """Every tier, in the order of the tiers file."""

    result: tuple[PricingTierConstraints, ...]


class SuborganizationsResponse(APIResponseBase):
    """Ids of all descendants, level by level and by id in each."""

    result: tuple[str, ...]
