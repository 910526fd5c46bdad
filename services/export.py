"""Reads all counters in the order of the export: organization, team, user, window, start; null first."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from services.cell_rows import ACTIVE_KINDS, WINDOWS, CellRow, KeptFrom, StoredCells, cell_rows
from services.counters import CounterStore, ReadRequest, StoreRefused, StoreUnavailable
from services.identifiers import Epoch, OrganizationId, PartitionId
from services.keyspace import (
    CounterKey,
    Scope,
    counter_key,
    epoch_prefix,
    parse_counter_key,
    partition_of,
    period_and_place,
    tags,
)
from services.windows import Window

HASHES_PER_READ: Final = 160
"""Of at most 124 fields each: a script call stays under 20,000 fields (design.md, invariant 10)."""

READS_AHEAD: Final = 6
"""Reads under way while the rows before them are written."""


@dataclass(frozen=True, slots=True)
class _Slot:
    """One partition under the epoch that was live when its keys were listed."""

    partition: PartitionId
    epoch: Epoch
    prefix: str


@dataclass(frozen=True, slots=True)
class _Listed:
    """A counter hash that was there when the keys were listed."""

    slot: _Slot
    key: CounterKey

    @property
    def place(self) -> tuple[str, str, str, str, int]:
        """Its place in the export; ids are never empty, so that an empty text stands for null."""
        kind, scope, period = self.key
        return scope.organization, scope.team or "", scope.user or "", WINDOWS[kind].value, period


async def export_rows(
    store: CounterStore, partitions: int, kept: KeptFrom, organization: OrganizationId | None = None
) -> AsyncIterator[Sequence[CellRow]]:
    """Yield all rows, or one organization's, in some hundreds at a time, in the export's order.

    Each batch is read in one step; the whole is not: let the pipeline catch up first. Memory holds the list of keys.

    Raises:
        StoreUnavailable, StoreRefused: as the store does; an epoch that changes meanwhile is unavailable.
    """
    owners = range(partitions) if organization is None else [partition_of(organization, partitions)]
    listed = [each for number in owners for each in await _list(store, PartitionId(number), partitions, organization)]
    listed.sort(key=lambda each: each.place)
    under_way: deque[asyncio.Task[list[StoredCells]]] = deque()
    try:
        for batch in _batches(listed):
            under_way.append(asyncio.create_task(_read(store, batch)))
            if len(under_way) > READS_AHEAD:
                yield list(cell_rows(await under_way.popleft(), kept))
        while under_way:
            yield list(cell_rows(await under_way.popleft(), kept))
    finally:
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)


async def read_cell(
    store: CounterStore, partitions: int, scope: Scope, window: Window, number: int, kept: KeptFrom
) -> CellRow | None:
    """Return one cell, None when nothing was counted in it or it is no longer kept."""
    slot = await _slot(store, partition_of(scope.organization, partitions), partitions)
    if slot is None:
        return None
    period, _ = period_and_place(window, number)
    kind = next(kind for kind, of in WINDOWS.items() if of is window)
    stored = await _read(store, [_Listed(slot, CounterKey(kind, scope, period))])
    return next((row for row in cell_rows(stored, kept) if row.number == number), None)


async def _slot(store: CounterStore, partition: PartitionId, partitions: int) -> _Slot | None:
    state = await store.state(partition)
    if state is None:
        return None
    if state.partitions != partitions:
        raise StoreRefused(
            f"the counters are spread over {state.partitions} partitions, but topics.frames_partitions is {partitions}:"
            " give the deployment's own number"
        )
    return _Slot(partition, state.epoch, epoch_prefix(tags(partitions)[partition], state.epoch))


async def _list(
    store: CounterStore, partition: PartitionId, partitions: int, organization: OrganizationId | None
) -> list[_Listed]:
    slot = await _slot(store, partition, partitions)
    if slot is None:
        return []
    listed = []
    async for name in store.keys(partition):
        key = parse_counter_key(name, slot.prefix)
        if key is not None and key.kind in WINDOWS and organization in (None, key.scope.organization):
            listed.append(_Listed(slot, key))
    return listed


def _batches(listed: Sequence[_Listed]) -> Iterator[list[_Listed]]:
    """Yield runs of hashes of one slot, so many that a read of them and their bitmaps stays within its bound."""
    for _, run in groupby(listed, key=lambda each: each.slot):
        batch: list[_Listed] = []
        hashes = 0
        for each in run:
            weight = 1 if each.key.scope.user is not None else 2
            if hashes + weight > HASHES_PER_READ:
                yield batch
                batch, hashes = [], 0
            batch.append(each)
            hashes += weight
        yield batch


async def _read(store: CounterStore, batch: Sequence[_Listed]) -> list[StoredCells]:
    slot = batch[0].slot
    keys = [counter_key(slot.prefix, *each.key) for each in batch]
    with_bitmaps = [each.key for each in batch if each.key.scope.user is None]
    keys += [counter_key(slot.prefix, ACTIVE_KINDS[key.kind], key.scope, key.period) for key in with_bitmaps]
    result = await store.read(slot.partition, ReadRequest(whole=keys))
    if result.state is None or result.state.epoch != slot.epoch:
        raise StoreUnavailable("a rebuild replaced the counters while they were read: export them again")
    bitmaps = iter(result.whole[len(batch) :])
    return [
        StoredCells(key=each.key, counters=counters, bitmaps=next(bitmaps) if each.key.scope.user is None else {})
        for each, counters in zip(batch, result.whole, strict=False)
    ]
