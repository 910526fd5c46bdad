"""The counter store as a command uses it: paced, and for a shadow one that is another run's by now is let alone."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Final

from aggregator.pacing import Pace
from services.clock import now_ms
from services.counters import ApplyOutcome, ApplyRequest, CounterStore, PartitionState, ReadRequest, ReadResult
from services.identifiers import Epoch, FrameOffset, PartitionId
from services.lifecycle import Refused

LEASE_S: Final = 6 * 3600
"""How long keys of a shadow that is only looked at live after the last renewal: a killed run leaves none for ever."""

_LEASED_MAX: Final = 500_000
"""Hashes whose end is known to be set; when there are more, ends are set again."""


class PacedStore:
    """A counter store whose calls keep to a pace."""

    def __init__(self, store: CounterStore, pace: Pace) -> None:
        self._store = store
        self._pace = pace

    async def state(self, partition: PartitionId) -> PartitionState | None:
        return await self._pace(lambda: self._store.state(partition))

    async def begin(self, partition: PartitionId, state: PartitionState) -> PartitionState:
        return await self._pace(lambda: self._store.begin(partition, state))

    async def read(self, partition: PartitionId, request: ReadRequest) -> ReadResult:
        return await self._pace(lambda: self._store.read(partition, request))

    async def apply(self, partition: PartitionId, request: ApplyRequest) -> ApplyOutcome:
        return await self._pace(lambda: self._store.apply(partition, request))

    async def count_crash(
        self, partition: PartitionId, epoch: Epoch, first: FrameOffset, last: FrameOffset, cause: str
    ) -> int:
        return await self._pace(lambda: self._store.count_crash(partition, epoch, first, last, cause))

    def keys(self, partition: PartitionId) -> AsyncIterator[str]:
        return self._store.keys(partition)


class ShadowStore(PacedStore):
    """The shadow of one partition; of another epoch than its own it neither reads nor writes anything.

    Args:
        epoch: the shadow's.
        leased: whether its hashes end `LEASE_S` after their first write, unless the end is moved on. What lives for a
            while after each write anyway (the dedup index) does so by `Keeping.ids_s`.
    """

    def __init__(self, store: CounterStore, pace: Pace, epoch: Epoch, *, leased: bool) -> None:
        super().__init__(store, pace)
        self._epoch = epoch
        self._leased: set[str | bytes] | None = set() if leased else None

    async def state(self, partition: PartitionId) -> PartitionState | None:
        return self._own(partition, await super().state(partition))

    async def read(self, partition: PartitionId, request: ReadRequest) -> ReadResult:
        read = await super().read(partition, request)
        self._own(partition, read.state)
        return read

    async def apply(self, partition: PartitionId, request: ApplyRequest) -> ApplyOutcome:
        ended = request if self._leased is None else self._with_ends(request, self._leased)
        return await super().apply(partition, ended)

    def _with_ends(self, request: ApplyRequest, leased: set[str | bytes]) -> ApplyRequest:
        end_s = now_ms() // 1000 + LEASE_S
        ends = [0 if group[0] in leased else end_s for group in request.hashes]
        if len(leased) > _LEASED_MAX:
            leased.clear()
        leased.update(group[0] for group in request.hashes)
        return replace(request, hash_expiry_s=ends)

    def _own(self, partition: PartitionId, state: PartitionState | None) -> PartitionState:
        if state is None or state.epoch != self._epoch:
            raise taken_over(partition)
        return state


def taken_over(partition: PartitionId) -> Refused:
    return Refused(
        f"the shadow of partition {partition} is gone or another run's by now: another `tidemark verify` or `rebuild`"
        " began, or Redis lost writes; what is live was not changed, run it again"
    )
