"""The tree of organizations as it stood at one revision. Pure.

An organization without a living record does not exist here, and a parent that does not exist (yet, or any more) is no
parent. Walks go at most 16 steps, and cycles stop them.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from services.directory import Thing
from services.directory_records import decode_record, decode_stored
from services.identifiers import OrganizationId
from services.keyspace import directory_field

DEPTH_MAX: Final = 16
_KEPT: Final[tuple[str, ...]] = ("name", "parentId", "tier")


@dataclass(frozen=True, slots=True, kw_only=True)
class Organization:
    """An organization that is not deleted.

    Attributes:
        parent: as its record says, whether it exists or not.
        details: the record, by the contract's names.
    """

    id: OrganizationId
    name: str
    parent: OrganizationId | None
    tier: str | None
    details: Mapping[str, Any]


class Tree:
    """All organizations.

    Args:
        fields: the directory fields ("o/ORGANIZATION" -> stored value) of the tree's unit.

    Raises:
        msgspec.MsgspecError: a value is no record.
    """

    def __init__(self, fields: Iterable[tuple[bytes, bytes]]) -> None:
        skipped = len(directory_field(Thing.ORGANIZATION, ""))
        found: dict[OrganizationId, Organization] = {}
        for name, value in fields:
            record = decode_stored(value).record
            if record is not None:
                fields_of = decode_record(record)
                # Without keys and domains, which a tree has no use for and which may be long.
                kept = {name: fields_of[name] for name in _KEPT if name in fields_of}
                organization = organization_of(OrganizationId(name.decode()[skipped:]), kept)
                found[organization.id] = organization
        self.organizations: Mapping[OrganizationId, Organization] = found

    def __len__(self) -> int:
        return len(self.organizations)

    def parent(self, organization: OrganizationId) -> OrganizationId | None:
        """Return the parent, None where there is none."""
        found = self.organizations.get(organization)
        return None if found is None or found.parent not in self.organizations else found.parent

    def root_of(self, organization: OrganizationId) -> OrganizationId | None:
        """Return the top of an organization's line, itself when it has no parent; None in a cycle or too deep."""
        if organization not in self.organizations:
            return None
        for _ in range(DEPTH_MAX + 1):
            above = self.parent(organization)
            if above is None:
                return organization
            organization = above
        return None

    def descendants(self, organization: OrganizationId) -> Sequence[OrganizationId]:
        """Return the organizations below, level by level and by id in each; never itself."""
        seen, level, found = {organization}, [organization], []
        for _ in range(DEPTH_MAX):
            level = sorted({child for each in level for child in self._children.get(each, ()) if child not in seen})
            seen.update(level)
            found += level
        return found

    @cached_property
    def _children(self) -> Mapping[OrganizationId, Sequence[OrganizationId]]:
        children: dict[OrganizationId, list[OrganizationId]] = defaultdict(list)
        for organization in self.organizations:
            if (above := self.parent(organization)) is not None:
                children[above].append(organization)
        return dict(children)


def organization_of(organization: OrganizationId, record: Mapping[str, Any]) -> Organization:
    parent = record.get("parentId")
    return Organization(
        id=organization,
        name=record["name"],
        parent=None if parent is None else OrganizationId(parent),
        tier=record.get("tier"),
        details=record,
    )
