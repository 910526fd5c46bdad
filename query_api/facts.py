"""What the policy asks, answered by the directory."""

from query_api.directory import DirectoryReader
from query_api.policy import Person
from services.identifiers import OrganizationId, UserId


class DirectoryFacts:
    """`query_api.access.Facts` over the directory."""

    def __init__(self, directory: DirectoryReader) -> None:
        self._directory = directory

    async def person(self, organization: OrganizationId, user: UserId, /) -> Person | None:
        # With the team: one that is deleted is nobody's, and whoever led it sees its members no more.
        found = (await self._directory.user_in_team(organization, user)).value
        return None if found is None else Person(team=found.user.team, leads=found.user.leads)

    async def root_of(self, organization: OrganizationId, /) -> OrganizationId | None:
        return (await self._directory.tree()).value.root_of(organization)
