"""What a hierarchy of organizations uses of its root's tier (contract notes Q5 and Q6). Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from query_api.snapshot import OrganizationSnapshot
from query_api.tiers import Tier, Tiers
from query_api.tree import Tree
from query_api.usage import ratio
from services.identifiers import OrganizationId

ORGANIZATIONS_MAX: Final = 5_000
"""Most organizations that one request reads, or lists."""

Units = Mapping[OrganizationId, OrganizationSnapshot]


class TooManyOrganizations(ValueError):
    """A request is about more organizations than one may be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """What an organization and everything below it have."""

    suborganizations: int
    persons: int
    groups: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Hierarchy:
    """Whom a quota answer is about.

    Attributes:
        root: the top above the organization; None where there is none (a cycle, or too deep).
        counted: the organization and everything below it.
        whole: the root and everything below it, when the caller may be told how much of the tier is used; else None.
    """

    organization: OrganizationId
    root: OrganizationId | None
    counted: Sequence[OrganizationId]
    whole: Sequence[OrganizationId] | None

    @property
    def to_read(self) -> Iterable[OrganizationId]:
        return dict.fromkeys([*self.counted, *(self.whole or ())])


def tier_of(organization: OrganizationId, tree: Tree, tiers: Tiers) -> Tier:
    """Return the tier of an organization's root; its own where there is no root."""
    root = tree.root_of(organization)
    return tiers.of(tree.organizations[organization if root is None else root].tier)


def hierarchy_of(organization: OrganizationId, tree: Tree, *, sees_root: bool) -> Hierarchy:
    """Return whom to count.

    Args:
        sees_root: whether the caller may read the root.

    Raises:
        TooManyOrganizations: they are more than `ORGANIZATIONS_MAX`.
    """
    root = tree.root_of(organization)
    counted = [organization, *tree.descendants(organization)]
    whole = None
    if root is not None and (sees_root or root == organization):
        whole = counted if root == organization else [root, *tree.descendants(root)]
    found = Hierarchy(organization=organization, root=root, counted=counted, whole=whole)
    if len(list(found.to_read)) > ORGANIZATIONS_MAX:
        raise TooManyOrganizations(f"more than {ORGANIZATIONS_MAX} organizations would have to be counted")
    return found


def used(organizations: Sequence[OrganizationId], units: Units) -> Used:
    """Return what organizations have together, the first of them not counted as a suborganization."""
    of_each = [units[organization] for organization in organizations]
    return Used(
        suborganizations=len(organizations) - 1,
        persons=len(frozenset[str]().union(*(unit.persons for unit in of_each))),
        groups=sum(unit.groups for unit in of_each),
    )


def headroom(number: int, limit: int | None) -> int | None:
    """Return what is left of a limit, negative beyond it; None when there is none."""
    return None if limit is None else limit - number


def utilization(number: int, limit: int | None) -> float | None:
    """Return how much of a limit is used, rounded half-up to 3 decimals; None when there is none, or it is 0."""
    return None if limit is None else ratio(number, limit)
