"""Reads the directory from the counter store: single records as they stand, whole units through snapshots.

A snapshot belongs to a revision of its unit. Every call asks for the revision that stands, and makes the snapshot anew
when that has moved on: what is answered is never older than the counters.
"""

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import msgspec

from query_api.dated import Dated
from query_api.slots import SlotReader
from query_api.snapshot import OrganizationSnapshot, Team, User, team_of, user_of
from query_api.snapshots import INLINE_RECORDS_MAX, Fields, Sized, Snapshots
from query_api.tree import Organization, Tree, organization_of
from query_api.unit_reading import UnitReader
from services.counters import ReadRequest, StoreRefused, StoreUnavailable
from services.directory import Thing
from services.directory_records import StoredRecord, decode_record, decode_stored
from services.freshness import as_of_ms
from services.identifiers import OrganizationId, TeamId, UserId
from services.keyspace import (
    TREE,
    directory_bucket,
    directory_field,
    directory_key,
    partition_of_unit,
)

_CHANGES_MAX: Final = 5
"""How often a user may change teams while it is looked up."""

Snapshot = TypeVar("Snapshot", bound=Sized)
Unit = TypeVar("Unit", bound=str)


@dataclass(frozen=True, slots=True)
class UserInTeam:
    """A user with its team; the team is None without one, or while the directory does not know it."""

    user: User
    team: Team | None


class DirectoryReader:
    """Answers from the directory; all methods raise `StoreUnavailable` and `StoreRefused` as the store does.

    Args:
        topic: of the directory events.
    """

    def __init__(self, slots: SlotReader, topic: str) -> None:
        self._slots = slots
        self._topic = topic
        self._units = UnitReader(slots, topic)
        self._trees: Snapshots[Tree] = Snapshots(_tree)
        self._organizations: Snapshots[OrganizationSnapshot] = Snapshots(_organization)

    async def tree(self) -> Dated[Tree]:
        return (await self._dated(self._trees, [TREE]))[TREE]

    async def unit(self, organization: OrganizationId) -> Dated[OrganizationSnapshot]:
        """Return everything that belongs to one organization; empty when the directory knows nothing of it."""
        return (await self._dated(self._organizations, [organization]))[organization]

    async def units(
        self, organizations: Iterable[OrganizationId]
    ) -> Mapping[OrganizationId, Dated[OrganizationSnapshot]]:
        """Return several organizations' units: those of one slot are asked for together."""
        return await self._dated(self._organizations, organizations)

    async def organization(self, organization: OrganizationId) -> Dated[Organization | None]:
        [record], as_of = await self._records(TREE, [directory_field(Thing.ORGANIZATION, organization)])
        return Dated(None if record is None else organization_of(organization, record), as_of)

    async def team(self, organization: OrganizationId, team: TeamId) -> Dated[Team | None]:
        [record], as_of = await self._records(organization, [directory_field(Thing.TEAM, team)])
        return Dated(None if record is None else team_of(team, record), as_of)

    async def user(self, organization: OrganizationId, user: UserId) -> Dated[User | None]:
        """Return a user as its record says, whether its team exists or not."""
        [record], as_of = await self._records(organization, [directory_field(Thing.USER, user)])
        return Dated(None if record is None else user_of(user, record), as_of)

    async def user_in_team(self, organization: OrganizationId, user: UserId) -> Dated[UserInTeam | None]:
        """Return a user and its team, both of one moment; the user has no team when that is deleted."""
        found = await self.user(organization, user)
        for _ in range(_CHANGES_MAX):
            if found.value is None or found.value.team is None:
                return Dated(None if found.value is None else UserInTeam(found.value, None), found.as_of_ms)
            team = found.value.team
            fields = [directory_field(Thing.USER, user), directory_field(Thing.TEAM, team)]
            [of_user, of_team], as_of = await self._stored(organization, fields)
            with _whole_records(organization):
                record = _present(of_user)
                found = Dated(None if record is None else user_of(user, record), as_of)
                if record is not None and record.get("teamId") == team:
                    return Dated(_user_in_team(user, record, team, of_team), as_of)
        raise StoreUnavailable("the user keeps changing teams")

    async def _records(self, unit: str, fields: Sequence[str]) -> tuple[list[dict[str, Any] | None], int | None]:
        """Return records of one unit in one step, None where there is none or it is deleted; and as of when."""
        found, as_of = await self._stored(unit, fields)
        with _whole_records(unit):
            return [_present(stored) for stored in found], as_of

    async def _stored(self, unit: str, fields: Sequence[str]) -> tuple[list[StoredRecord | None], int | None]:
        partition = partition_of_unit(unit, self._slots.partitions)
        read = await self._slots.read(
            partition,
            lambda prefix: ReadRequest(
                fields=[[directory_key(prefix, unit, directory_bucket(field)), field] for field in fields]
            ),
        )
        with _whole_records(unit):
            stored = [None if value is None else decode_stored(value) for value in read.fields]
        return stored, as_of_ms(read.state, self._topic)

    async def _dated(self, snapshots: Snapshots[Snapshot], units: Iterable[Unit]) -> Mapping[Unit, Dated[Snapshot]]:
        wanted = await self._units.revisions(units)
        found = {unit: held for unit, dated in wanted.items() if (held := snapshots.get(unit, dated.value)) is not None}
        missing = {unit: dated.value for unit, dated in wanted.items() if unit not in found}
        parts = [snapshots.load(part, self._units.fetch) for part in self._units.parts(missing)]
        for loaded in await asyncio.gather(*parts):
            found |= loaded
        return {unit: Dated(found[unit], dated.as_of_ms) for unit, dated in wanted.items()}


def _present(stored: StoredRecord | None) -> dict[str, Any] | None:
    return None if stored is None or stored.record is None else decode_record(stored.record)


def _user_in_team(user: UserId, record: Mapping[str, Any], team: TeamId, of_team: StoredRecord | None) -> UserInTeam:
    present = _present(of_team)
    deleted = [team] if of_team is not None and present is None else []
    return UserInTeam(user_of(user, record, deleted), None if present is None else team_of(team, present))


def _tree(unit: str, fields: Fields, _: Tree | None) -> Tree:
    with _whole_records(unit):
        return Tree(fields)


def _organization(unit: str, fields: Fields, before: OrganizationSnapshot | None) -> OrganizationSnapshot:
    with _whole_records(unit):
        made = OrganizationSnapshot(fields, before)
        if len(made) > INLINE_RECORDS_MAX:
            made.prepare()  # beside the requests, and not in the first one that asks
        return made


@contextmanager
def _whole_records(unit: str) -> Iterator[None]:
    try:
        yield
    except (msgspec.MsgspecError, ValueError, KeyError) as error:
        raise StoreRefused(f"a directory record of {unit} cannot be read ({error!r}): restore a backup") from error
