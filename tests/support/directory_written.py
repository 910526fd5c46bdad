"""Directory records as the aggregator writes them, for tests of what reads them; nothing is folded."""

import itertools
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from services.counters import Applied, ApplyRequest, PartitionState, SourcePosition
from services.directory import EVENT_TYPES, Thing
from services.directory_check import read_directory_event
from services.directory_records import DirectoryChange, StoredRecord, encode_stored, merged
from services.directory_revision import StoredRevision, encode_revision
from services.identifiers import Epoch, FrameId, FrameOffset, PartitionId
from services.keyspace import (
    directory_bucket,
    directory_field,
    directory_key,
    epoch_prefix,
    partition_of_unit,
    revisions_key,
    tags,
    unit_of,
)
from services.memory_counters import MemoryCounterStore
from services.redis_counters import RedisCounterStore

TOPIC = "usage.directory"
LONG_AGO = "2020-01-01T00:00:00Z"

Event = dict[str, Any]

_revisions = itertools.count(1)
"""Of all directories of this process, not of one: an app that outlives its store must not take one for another's."""


def directory_event(thing: Thing, organization: str, subject: str, *, version: int, time: str, **data: Any) -> Event:
    """Return an event in structured form: an upsert with `data`, a delete without."""
    return {
        "specversion": "1.0",
        "id": f"{thing}/{organization}/{subject}/{version}",
        "source": "directory-tests",
        "type": EVENT_TYPES[thing],
        "time": time,
        "subject": subject,
        "organizationid": organization,
        "data": {"action": "upsert" if data else "delete", "version": version} | data,
    }


@dataclass
class DirectoryWritten:
    """Collects changes and writes what they amount to, on top of what the store has applied.

    Attributes:
        read_up_to_ms: of the directory topic, the same in every partition that is written.
    """

    partitions: int = 4
    epoch: Epoch = Epoch(1)
    read_up_to_ms: int | None = None
    records: dict[tuple[str, str], StoredRecord] = field(default_factory=dict)
    revisions: dict[str, int] = field(default_factory=dict)
    changed: set[tuple[str, str]] = field(default_factory=set)
    versions: Counter[tuple[str, str]] = field(default_factory=Counter)

    def change(self, change: DirectoryChange) -> None:
        place = (unit_of(change.thing, change.organization), directory_field(change.thing, change.subject))
        after = merged(self.records.get(place), change)
        self.versions[place] = max(self.versions[place], change.version)
        if after is not None:
            self.records[place] = after
            self.revisions[place[0]] = next(_revisions)
            self.changed.add(place)

    def event(self, event: Event) -> None:
        """Take an event in structured form.

        Raises:
            DirectoryFault: it breaks the contract.
        """
        self.change(read_directory_event(json.dumps(event).encode(), "refuse"))

    def organization(self, organization: str, *, time: str = LONG_AGO, **data: Any) -> None:
        self._next(Thing.ORGANIZATION, organization, organization, time, {"name": organization.title()} | data)

    def team(self, organization: str, team: str, *, time: str = LONG_AGO, **data: Any) -> None:
        self._next(Thing.TEAM, organization, team, time, {"name": team.title()} | data)

    def user(self, organization: str, user: str, *, time: str = LONG_AGO, **data: Any) -> None:
        """Write a registered Member unless told otherwise."""
        told = {"username": user, "email": f"{user}@{organization}.example", "role": "Member", "verified": True}
        self._next(Thing.USER, organization, user, time, told | {"status": "registered"} | data)

    def group(self, organization: str, group: str, *, time: str = LONG_AGO) -> None:
        self._next(Thing.GROUP, organization, group, time, {"name": group.title()})

    def license(self, organization: str, license_: str, *, time: str = LONG_AGO, **data: Any) -> None:
        self._next(Thing.LICENSE, organization, license_, time, {"iat": 1_700_000_000, "exp": 1_900_000_000} | data)

    def delete(self, thing: Thing, organization: str, subject: str | None = None, *, time: str = LONG_AGO) -> None:
        self._next(thing, organization, subject or organization, time, {})

    def _next(self, thing: Thing, organization: str, subject: str, time: str, data: dict[str, Any]) -> None:
        """Take an event whose version is above those before."""
        version = self.versions[unit_of(thing, organization), directory_field(thing, subject)] + 1
        self.event(directory_event(thing, organization, subject, version=version, time=time, **data))

    async def write(self, store: MemoryCounterStore | RedisCounterStore) -> None:
        """Apply what has changed since the last write as the next frame of every partition."""
        changed = {unit for unit, _ in self.changed}
        held: dict[str, list[str]] = {unit: [] for unit in changed}
        for unit, name in self.records:
            if unit in changed:
                held[unit].append(name)
        for number in range(self.partitions):
            partition = PartitionId(number)
            state = await store.begin(
                partition,
                PartitionState(
                    epoch=self.epoch,
                    applied_offset=FrameOffset(-1),
                    frame_id=None,
                    partitions=self.partitions,
                    fingerprint="test",
                ),
            )
            groups = self._groups(partition, held)
            offset = FrameOffset(state.applied_offset + 1)
            request = ApplyRequest(
                epoch=self.epoch,
                first=offset,
                last=offset,
                frame_id=FrameId(1),
                source_partitions={TOPIC: 1},
                sources={(TOPIC, 0): SourcePosition(next_offset=1, read_up_to_ms=self.read_up_to_ms)},
                hashes=groups,
                hash_expiry_s=[0] * len(groups),
            )
            assert await store.apply(partition, request) == Applied()
        self.changed.clear()

    def _groups(self, partition: PartitionId, held: Mapping[str, Sequence[str]]) -> list[list[str | bytes]]:
        prefix = epoch_prefix(tags(self.partitions)[partition], self.epoch)
        groups: list[list[str | bytes]] = []
        for unit, name in sorted(self.changed):
            if partition_of_unit(unit, self.partitions) == partition:
                key = directory_key(prefix, unit, directory_bucket(name))
                groups.append([key, name, encode_stored(self.records[unit, name])])
        groups += [
            [revisions_key(prefix), unit, encode_revision(self._revision(unit, names))]
            for unit, names in sorted(held.items())
            if partition_of_unit(unit, self.partitions) == partition
        ]
        return groups

    def _revision(self, unit: str, names: Sequence[str]) -> StoredRevision:
        number = self.revisions[unit]
        size = sum(len(encode_stored(self.records[unit, name])) for name in names)
        buckets = sum({1 << directory_bucket(name) for name in names})
        return StoredRevision(number, len(names), size, offset=number, broker_ms=number, buckets=buckets)
