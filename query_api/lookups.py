"""Looks up what a call is about; what the directory does not know, or has deleted, is an `UnknownScope`.

Without a living organization nothing of it is found.
"""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from query_api.dated import Dated, oldest
from query_api.directory import DirectoryReader, UserInTeam
from query_api.reading import UnknownScope
from query_api.snapshot import OrganizationSnapshot, Team
from query_api.tree import Organization
from services.identifiers import OrganizationId, TeamId, UserId

Value = TypeVar("Value")


class Lookups:
    """All methods raise `UnknownScope`, and `StoreUnavailable` and `StoreRefused` as the store does."""

    def __init__(self, directory: DirectoryReader) -> None:
        self._directory = directory

    async def organization(self, organization: OrganizationId) -> Dated[Organization]:
        return _known(await self._directory.organization(organization))

    async def unit(self, organization: OrganizationId) -> Dated[OrganizationSnapshot]:
        return await self._of(organization, self._directory.unit(organization))

    async def unit_of_team(self, organization: OrganizationId, team: TeamId) -> Dated[OrganizationSnapshot]:
        """Return the unit of a team that the directory knows."""
        unit = await self.unit(organization)
        if team not in unit.value.teams:
            raise UnknownScope
        return unit

    async def team(self, organization: OrganizationId, team: TeamId) -> Dated[Team]:
        return await self._of(organization, self._directory.team(organization, team))

    async def user(self, organization: OrganizationId, user: UserId) -> Dated[UserInTeam]:
        return await self._of(organization, self._directory.user_in_team(organization, user))

    async def _of(self, organization: OrganizationId, look_up: Awaitable[Dated[Value | None]]) -> Dated[Value]:
        """Return what was looked up of an organization, and as of when both are."""
        owner, dated = await asyncio.gather(self._directory.organization(organization), look_up)
        _known(owner)
        found = _known(dated)
        return Dated(found.value, oldest(owner.as_of_ms, found.as_of_ms))


def _known(dated: Dated[Value | None]) -> Dated[Value]:
    if dated.value is None:
        raise UnknownScope
    return Dated(dated.value, dated.as_of_ms)
