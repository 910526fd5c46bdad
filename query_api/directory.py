"""Reads the directory from the counter store: single records as they stand, whole units through snapshots.

A snapshot belongs to a revision of its unit. Every call asks for the revision that stands, and makes the snapshot anew
when that has moved on: what is answered is never older than the counters.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeVar

import msgspec

from query_api.dated import Dated
from query_api.slots import SlotReader
from query_api.snapshot import OrganizationSnapshot, Team, User, team_of, user_of
from query_api.snapshots import Revision, Sized, Snapshots
from query_api.tree import Organization, Tree, organization_of
from services.counters import ReadRequest, ReadResult, StoreRefused, StoreUnavailable
from services.directory import Thing
from services.directory_records import StoredRecord, decode_record, decode_stored
from services.freshness import as_of_ms
from services.identifiers import Epoch, OrganizationId, PartitionId, TeamId, UserId
from services.keyspace import (
    BUCKETS,
    TREE,
    directory_bucket,
    directory_field,
    directory_key,
    partition_of_unit,
    revisions_key,
)

RECORDS_PER_READ: Final = 20_000
"""Records in one script call (design.md, invariant 10)."""

_CHANGES_MAX: Final = 5
"""How often a unit may change while it is read; a read in one call cannot be overtaken."""

Snapshot = TypeVar("Snapshot", bound=Sized)


@dataclass(frozen=True, slots=True)
class UserInTeam:
    """A user with its team; the team is None without one, or while the directory does not know it."""

    user: User
    team: Team | None


_NOTHING: Final = Revision(Epoch(0), 0, 0)


class DirectoryReader:
    """Answers from the directory; all methods raise `StoreUnavailable` and `StoreRefused` as the store does.

    Args:
        topic: of the directory events.
    """

    def __init__(self, slots: SlotReader, topic: str) -> None:
        self._slots = slots
        self._topic = topic
        self._trees: Snapshots[Tree] = Snapshots(Tree)
        self._units: Snapshots[OrganizationSnapshot] = Snapshots(OrganizationSnapshot)

    async def tree(self) -> Dated[Tree]:
        return await self._snapshot(self._trees, TREE)

    async def unit(self, organization: OrganizationId) -> Dated[OrganizationSnapshot]:
        """Return everything that belongs to one organization; empty when the directory knows nothing of it."""
        return await self._snapshot(self._units, organization)

    async def units(
        self, organizations: Iterable[OrganizationId]
    ) -> Mapping[OrganizationId, Dated[OrganizationSnapshot]]:
        """Return several organizations' units: each slot's revisions are asked for together."""
        by_slot: dict[PartitionId, list[OrganizationId]] = defaultdict(list)
        for organization in organizations:
            by_slot[partition_of_unit(organization, self._slots.partitions)].append(organization)
        of_slots = await asyncio.gather(*[self._of_slot(self._units, asked) for asked in by_slot.values()])
        return {
            organization: dated
            for asked, of_slot in zip(by_slot.values(), of_slots, strict=True)
            for organization, dated in zip(asked, of_slot, strict=True)
        }

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

    async def _snapshot(self, snapshots: Snapshots[Snapshot], unit: str) -> Dated[Snapshot]:
        [dated] = await self._of_slot(snapshots, [unit])
        return dated

    async def _of_slot(self, snapshots: Snapshots[Snapshot], units: Sequence[str]) -> list[Dated[Snapshot]]:
        """Return the snapshots of units that lie in one slot, in their order."""
        partition = partition_of_unit(units[0], self._slots.partitions)
        read = await self._slots.read(partition, lambda prefix: ReadRequest(fields=[[revisions_key(prefix), *units]]))
        as_of = as_of_ms(read.state, self._topic)
        found = []
        for unit, revision in zip(units, _revisions(read), strict=True):
            held = snapshots.get(unit, revision)
            found.append(Dated(await self._load(snapshots, unit, revision) if held is None else held, as_of))
        return found

    async def _load(self, snapshots: Snapshots[Snapshot], unit: str, wanted: Revision) -> Snapshot:
        with _whole_records(unit):
            return await snapshots.load(unit, wanted, partial(self._fetch, unit))

    async def _fetch(self, unit: str, wanted: Revision) -> tuple[Revision, list[tuple[bytes, bytes]]]:
        """Return all fields of a unit at one revision, the wanted one or a later one."""
        for _ in range(_CHANGES_MAX):
            fields, seen = await self._read_buckets(unit, wanted)
            if fields is not None:
                return seen, fields
            wanted = seen
        raise StoreUnavailable(f"the directory of {unit} changes faster than it can be read")

    async def _read_buckets(self, unit: str, wanted: Revision) -> tuple[list[tuple[bytes, bytes]] | None, Revision]:
        """Return all fields of a unit and their revision; no fields when it changed between two calls."""
        partition = partition_of_unit(unit, self._slots.partitions)
        calls = max(1, min(BUCKETS, -(-wanted.records // RECORDS_PER_READ)))
        fields: list[tuple[bytes, bytes]] = []
        seen: Revision | None = None
        for call in range(calls):
            buckets = range(call, BUCKETS, calls)
            read = await self._slots.read(partition, partial(_bucket_request, unit, buckets))
            [revision] = _revisions(read)
            if seen is not None and seen != revision:
                return None, revision
            seen = revision
            fields += [field for bucket in read.whole for field in bucket.items()]
        return fields, seen or _NOTHING


def _present(stored: StoredRecord | None) -> dict[str, Any] | None:
    return None if stored is None or stored.record is None else decode_record(stored.record)


def _user_in_team(user: UserId, record: Mapping[str, Any], team: TeamId, of_team: StoredRecord | None) -> UserInTeam:
    present = _present(of_team)
    deleted = [team] if of_team is not None and present is None else []
    return UserInTeam(user_of(user, record, deleted), None if present is None else team_of(team, present))


def _bucket_request(unit: str, buckets: Iterable[int], prefix: str) -> ReadRequest:
    return ReadRequest(
        fields=[[revisions_key(prefix), unit]], whole=[directory_key(prefix, unit, bucket) for bucket in buckets]
    )


@contextmanager
def _whole_records(unit: str) -> Iterator[None]:
    try:
        yield
    except (msgspec.MsgspecError, ValueError, KeyError) as error:
        raise StoreRefused(f"a directory record of {unit} cannot be read ({error!r}): restore a backup") from error


def _revisions(read: ReadResult) -> list[Revision]:
    """Return the revisions that a read of them answered."""
    revisions = []
    for value in read.fields:
        if value is None or read.state is None:
            revisions.append(_NOTHING)
        else:
            number, records, *last = value.split(b",")
            revisions.append(Revision(read.state.epoch, int(number), int(records), b",".join(last)))
    return revisions
