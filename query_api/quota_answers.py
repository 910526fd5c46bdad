"""From counts and tiers to the shapes of the quota answers. Pure."""

from dataclasses import asdict

from query_api.quota import Used, headroom, utilization
from query_api.schemas.quota import (
    CurrentTier,
    Headroom,
    OrganizationUsageDetails,
    PricingTierConstraints,
    Utilization,
)
from query_api.tiers import Tier
from services.windows import rfc3339


def constraints(tier: Tier) -> PricingTierConstraints:
    return PricingTierConstraints(**asdict(tier))


def current_tier(tier: Tier, as_of_ms: int | None) -> CurrentTier:
    return CurrentTier(**asdict(tier), as_of=_instant(as_of_ms))


def usage_details(tier: Tier, counted: Used, whole: Used | None, as_of_ms: int | None) -> OrganizationUsageDetails:
    """Return the counts of an organization and what is below it.

    Args:
        whole: of the root's hierarchy, which the limits bind; None when the caller may not be told.
    """
    return OrganizationUsageDetails(
        pricing_tier_details=constraints(tier),
        num_suborganizations=counted.suborganizations,
        num_persons=counted.persons,
        num_groups=counted.groups,
        headroom=None if whole is None else _headroom(tier, whole),
        utilization=None if whole is None else _utilization(tier, whole),
        as_of=_instant(as_of_ms),
    )


def _headroom(tier: Tier, whole: Used) -> Headroom:
    return Headroom(
        suborganizations=headroom(whole.suborganizations, tier.max_suborganizations),
        persons=headroom(whole.persons, tier.max_persons),
        groups=headroom(whole.groups, tier.max_groups),
    )


def _utilization(tier: Tier, whole: Used) -> Utilization:
    return Utilization(
        suborganizations=utilization(whole.suborganizations, tier.max_suborganizations),
        persons=utilization(whole.persons, tier.max_persons),
        groups=utilization(whole.groups, tier.max_groups),
    )


def _instant(as_of_ms: int | None) -> str | None:
    return None if as_of_ms is None else rfc3339(as_of_ms)
