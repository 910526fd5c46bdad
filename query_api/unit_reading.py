"""Reads whole units of the directory: many small ones of one slot in one call, a large one in several."""

import asyncio
import itertools
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Final, TypeVar

from query_api.dated import Dated
from query_api.slots import SlotReader
from query_api.snapshots import RECORD_BYTES, Loaded, Revision
from services.counters import ReadRequest, ReadResult, StoreUnavailable
from services.directory_revision import NEVER_CHANGED, decode_revision
from services.freshness import as_of_ms
from services.identifiers import Epoch, PartitionId
from services.keyspace import directory_key, partition_of_unit, revisions_key

READ_MAX: Final = 20_000
"""Records and keys in one script call (design.md, invariant 10), 10 MB: a key costs about what a record does."""

_CALLS_MAX: Final = 2
"""Calls of one request at a time: while one answer is taken apart Redis makes another, and nobody waits behind many."""

_CHANGES_MAX: Final = 5
"""How often a unit may change while it is read; a read in one call cannot be overtaken."""

_NOTHING: Final = Revision(Epoch(0), NEVER_CHANGED)

Unit = TypeVar("Unit", bound=str)


class UnitReader:
    """All methods raise `StoreUnavailable` and `StoreRefused` as the store does.

    Args:
        topic: of the directory events.
    """

    def __init__(self, slots: SlotReader, topic: str) -> None:
        self._slots = slots
        self._topic = topic

    async def revisions(self, units: Iterable[Unit]) -> Mapping[Unit, Dated[Revision]]:
        """Return the revisions that stand; each slot is asked once."""
        by_slot = self._by_slot(units)
        of_slots = await asyncio.gather(*[self._revisions_of(slot, asked) for slot, asked in by_slot.items()])
        return {unit: dated for of_slot in of_slots for unit, dated in of_slot}

    def parts(self, wanted: Mapping[Unit, Revision]) -> Sequence[Mapping[Unit, Revision]]:
        """Return units in parts that are fetched beside each other."""
        batches = list(self._batches(wanted))
        lanes = [batches[lane::_CALLS_MAX] for lane in range(min(_CALLS_MAX, len(batches)))]
        return [{unit: wanted[unit] for batch in lane for unit in batch} for lane in lanes]

    async def fetch(self, wanted: Mapping[Unit, Revision]) -> AsyncIterator[Sequence[Loaded]]:
        """Yield all fields of units batch by batch, each unit at one revision: the wanted one or a later one."""
        for batch in self._batches(wanted):
            if len(batch) > 1:
                yield await self._read_together({unit: wanted[unit] for unit in batch})
            else:
                yield [await self._read_alone(batch[0], wanted[batch[0]])]

    def _batches(self, wanted: Mapping[Unit, Revision]) -> Iterator[list[Unit]]:
        """Yield units of one slot that fit into one call, or one unit that does not."""
        for of_slot in self._by_slot(wanted).values():
            batch: list[Unit] = []
            size = 0
            for unit in of_slot:
                of_unit = _size(wanted[unit])
                if batch and size + of_unit > READ_MAX:
                    yield batch
                    batch, size = [], 0
                batch.append(unit)
                size += of_unit
            yield batch

    def _by_slot(self, units: Iterable[Unit]) -> Mapping[PartitionId, list[Unit]]:
        by_slot: dict[PartitionId, list[Unit]] = defaultdict(list)
        for unit in units:
            by_slot[self._slot_of(unit)].append(unit)
        return by_slot

    def _slot_of(self, unit: str) -> PartitionId:
        return partition_of_unit(unit, self._slots.partitions)

    async def _revisions_of(self, slot: PartitionId, units: Sequence[Unit]) -> list[tuple[Unit, Dated[Revision]]]:
        read = await self._slots.read(slot, partial(_request, units, [()] * len(units)))
        as_of = as_of_ms(read.state, self._topic)
        return [(unit, Dated(revision, as_of)) for unit, revision in zip(units, _revisions(read), strict=True)]

    async def _read_together(self, wanted: Mapping[Unit, Revision]) -> list[Loaded]:
        """Return units of one slot, read in one call; again by itself what has got records in other buckets since."""
        buckets = {unit: list(revision.stored.held_buckets()) for unit, revision in wanted.items()}
        slot = self._slot_of(next(iter(wanted)))
        read = await self._slots.read(slot, partial(_request, list(wanted), list(buckets.values())))
        found, loaded = iter(read.whole), []
        for (unit, asked), seen in zip(buckets.items(), _revisions(read), strict=True):
            fields = _fields(itertools.islice(found, len(asked)))
            grown = seen.stored.buckets & ~wanted[unit].stored.buckets
            loaded.append(await self._read_alone(unit, seen) if grown else (unit, seen, fields))
        return loaded

    async def _read_alone(self, unit: str, wanted: Revision) -> Loaded:
        for _ in range(_CHANGES_MAX):
            fields, seen = await self._read_in_parts(unit, wanted)
            if fields is not None:
                return unit, seen, fields
            wanted = seen
        raise StoreUnavailable(f"the directory of {unit} changes faster than it can be read")

    async def _read_in_parts(self, unit: str, wanted: Revision) -> tuple[list[tuple[bytes, bytes]] | None, Revision]:
        """Return all fields of a unit and their revision; no fields when it changed too much meanwhile."""
        buckets = list(wanted.stored.held_buckets())
        calls = max(1, min(len(buckets), -(-_size(wanted) // READ_MAX)))
        fields: list[tuple[bytes, bytes]] = []
        seen: Revision | None = None
        for call in range(calls):
            read = await self._slots.read(self._slot_of(unit), partial(_request, [unit], [buckets[call::calls]]))
            [revision] = _revisions(read)
            if revision.stored.buckets & ~wanted.stored.buckets or seen not in (None, revision):
                return None, revision
            seen = revision
            fields += _fields(read.whole)
        return fields, seen or _NOTHING


def _size(revision: Revision) -> int:
    stored = revision.stored
    return max(stored.records, stored.size // RECORD_BYTES) + stored.buckets.bit_count()


def _request(units: Sequence[str], buckets: Iterable[Iterable[int]], prefix: str) -> ReadRequest:
    return ReadRequest(
        fields=[[revisions_key(prefix), *units]],
        whole=[
            directory_key(prefix, unit, bucket)
            for unit, of_unit in zip(units, buckets, strict=True)
            for bucket in of_unit
        ],
    )


def _fields(buckets: Iterable[Mapping[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    return [field for bucket in buckets for field in bucket.items()]


def _revisions(read: ReadResult) -> list[Revision]:
    """Return the revisions that a read of them answered."""
    if read.state is None:
        return [_NOTHING] * len(read.fields)
    return [Revision(read.state.epoch, decode_revision(value)) for value in read.fields]
