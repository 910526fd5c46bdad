"""What the policy asks, answered by the directory."""

from query_api.directory import DirectoryReader
from query_api.policy import Person
from services.identifiers import OrganizationId, UserId


class DirectoryFacts:
    """`query_api.access.Facts` over the directory."""

    def __init__(self, directory: DirectoryReader) -> None:
        self._directory = directory

    async def person(self, organization: OrganizationId, user: UserId, /) -> Person | None:
        found = (await self._directory.user(organization, user)).value
        return None if found is None else Person(team=found.team, leads=found.leads)

    async def root_of(self, organization: OrganizationId, /) -> OrganizationId | None:
        return (await self._directory.tree()).value.root_of(organization)
