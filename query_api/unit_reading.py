"""Reads whole units of the directory: many small ones of one slot in one call, a large one in several."""

import asyncio
import itertools
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Final, TypeVar

from query_api.dated import Dated
from query_api.slots import SlotReader
from query_api.snapshots import Loaded, Revision
from services.counters import ReadRequest, ReadResult, StoreUnavailable
from services.freshness import as_of_ms
from services.identifiers import Epoch, PartitionId
from services.keyspace import BUCKETS, directory_key, partition_of_unit, revisions_key

READ_MAX: Final = 20_000
"""Records and keys in one script call (design.md, invariant 10): a key costs about what a record does."""

_CALLS_MAX: Final = 2
"""Calls of one request at a time: while one answer is taken apart Redis makes another, and nobody waits behind many."""

_CHANGES_MAX: Final = 5
"""How often a unit may change while it is read; a read in one call cannot be overtaken."""

_NOTHING: Final = Revision(Epoch(0), 0, 0)

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
                yield await self._read_together(batch)
            else:
                yield [await self._read_alone(batch[0], wanted[batch[0]])]

    def _batches(self, wanted: Mapping[Unit, Revision]) -> Iterator[list[Unit]]:
        """Yield units of one slot that fit into one call, or one unit that does not."""
        for of_slot in self._by_slot(wanted).values():
            batch: list[Unit] = []
            size = 0
            for unit in of_slot:
                of_unit = BUCKETS + wanted[unit].records
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
        read = await self._slots.read(slot, partial(_request, units, ()))
        as_of = as_of_ms(read.state, self._topic)
        return [(unit, Dated(revision, as_of)) for unit, revision in zip(units, _revisions(read), strict=True)]

    async def _read_together(self, units: Sequence[str]) -> list[Loaded]:
        read = await self._slots.read(self._slot_of(units[0]), partial(_request, units, range(BUCKETS)))
        buckets = iter(read.whole)
        return [
            (unit, revision, _fields(itertools.islice(buckets, BUCKETS)))
            for unit, revision in zip(units, _revisions(read), strict=True)
        ]

    async def _read_alone(self, unit: str, wanted: Revision) -> Loaded:
        for _ in range(_CHANGES_MAX):
            fields, seen = await self._read_in_parts(unit, wanted)
            if fields is not None:
                return unit, seen, fields
            wanted = seen
        raise StoreUnavailable(f"the directory of {unit} changes faster than it can be read")

    async def _read_in_parts(self, unit: str, wanted: Revision) -> tuple[list[tuple[bytes, bytes]] | None, Revision]:
        """Return all fields of a unit and their revision; no fields when it changed between two calls."""
        calls = max(1, min(BUCKETS, -(-wanted.records // READ_MAX)))
        fields: list[tuple[bytes, bytes]] = []
        seen: Revision | None = None
        for call in range(calls):
            buckets = range(call, BUCKETS, calls)
            read = await self._slots.read(self._slot_of(unit), partial(_request, [unit], buckets))
            [revision] = _revisions(read)
            if seen is not None and seen != revision:
                return None, revision
            seen = revision
            fields += _fields(read.whole)
        return fields, seen or _NOTHING


def _request(units: Sequence[str], buckets: Iterable[int], prefix: str) -> ReadRequest:
    return ReadRequest(
        fields=[[revisions_key(prefix), *units]],
        whole=[directory_key(prefix, unit, bucket) for unit in units for bucket in buckets],
    )


def _fields(buckets: Iterable[Mapping[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    return [field for bucket in buckets for field in bucket.items()]


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
