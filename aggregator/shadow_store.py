"""The counter store as a command uses it: paced, and for a shadow one that is another run's by now is let alone."""

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Final, TypeVar

from aggregator.pacing import Pace
from services.clock import now_ms
from services.counters import (
    Applied,
    ApplyOutcome,
    ApplyRequest,
    CounterStore,
    PartitionState,
    ReadRequest,
    ReadResult,
)
from services.identifiers import Epoch, FrameOffset, PartitionId
from services.lifecycle import Refused

LEASE_S: Final = 6 * 3600
"""How long keys of a shadow that is only looked at live after the last renewal: a killed run leaves none for ever."""

Groups = Sequence[Sequence[str | bytes]]
Value = TypeVar("Value")


class PacedStore:
    """A counter store whose calls keep to a pace."""

    def __init__(self, store: CounterStore, pace: Pace) -> None:
        self._store = store
        self._pace = pace

    async def state(self, partition: PartitionId) -> PartitionState | None:
        return await self._pace(lambda: self._store.state(partition))

    async def begin(self, partition: PartitionId, state: PartitionState, *, lives_s: int = 0) -> PartitionState:
        return await self._pace(lambda: self._store.begin(partition, state, lives_s=lives_s))

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

    Nobody else writes to an epoch that no run took before. So what was never written there is empty, and Redis is not
    asked for it.

    Args:
        begun: the shadow's state, as it was begun.
        leased: whether its hashes end `LEASE_S` after their first write, unless the end is moved on. What lives for a
            while after each write anyway (the dedup index) does so by `Keeping.ids_s`.
    """

    def __init__(self, store: CounterStore, pace: Pace, begun: PartitionState, *, leased: bool) -> None:
        super().__init__(store, pace)
        self._known = begun
        self._leased = leased
        self._written: set[str] = set()
        # Of an apply without an answer: whether these were written, and so have an end, is not known.
        self._endless: set[str] = set()

    @property
    def written(self) -> Iterable[str]:
        """The keys that were written, or may have been."""
        return self._written

    def wrote(self, keys: Iterable[str]) -> None:
        """Take in that something else than the fold wrote, or is about to write, to these keys."""
        self._written.update(keys)

    async def state(self, partition: PartitionId) -> PartitionState | None:
        return self._seen(partition, await super().state(partition))

    async def read(self, partition: PartitionId, request: ReadRequest) -> ReadResult:
        asked = ReadRequest(
            fields=self._of_written(request.fields),
            members=self._of_written(request.members),
            whole=[key for key in request.whole if key in self._written],
        )
        if asked.asks_nothing:
            read = ReadResult(state=self._known, fields=(), members=(), whole=())
        else:
            read = await super().read(partition, asked)
            self._seen(partition, read.state)
        whole = iter(read.whole)
        return ReadResult(
            state=read.state,
            fields=list(self._with_absent(request.fields, iter(read.fields), None)),
            members=list(self._with_absent(request.members, iter(read.members), 0)),
            whole=[next(whole) if key in self._written else {} for key in request.whole],
        )

    async def apply(self, partition: PartitionId, request: ApplyRequest) -> ApplyOutcome:
        ended = self._with_ends(request) if self._leased else request
        hashes = {str(group[0]) for group in request.hashes} if self._leased else set()
        self._endless |= hashes - self._written
        for groups in (request.hashes, request.sets, request.living_sets, request.living_hashes):
            self.wrote(str(group[0]) for group in groups)
        outcome = await super().apply(partition, ended)
        self._endless -= hashes
        if outcome == Applied():
            self._known = request.state_after(self._known)
        return outcome

    def _of_written(self, groups: Groups) -> Groups:
        return [group for group in groups if group[0] in self._written]

    def _with_absent(self, groups: Groups, answers: Iterator[Value], absent: Value) -> Iterator[Value]:
        """Yield a value for each field or member of the groups, `absent` where Redis was not asked."""
        for group in groups:
            is_written = group[0] in self._written
            for _ in group[1:]:
                yield next(answers) if is_written else absent

    def _with_ends(self, request: ApplyRequest) -> ApplyRequest:
        end_s = now_ms() // 1000 + LEASE_S
        has_end = [group[0] in self._written and group[0] not in self._endless for group in request.hashes]
        return replace(request, hash_expiry_s=[0 if has else end_s for has in has_end])

    def _seen(self, partition: PartitionId, state: PartitionState | None) -> PartitionState:
        """Take a state in; one that was read before the last apply, and comes behind it, sets nothing back."""
        own = self._own(partition, state)
        if own.applied_offset >= self._known.applied_offset:
            self._known = own
        return own

    def _own(self, partition: PartitionId, state: PartitionState | None) -> PartitionState:
        if state is None or state.epoch != self._known.epoch:
            raise taken_over(partition)
        return state


def taken_over(partition: PartitionId) -> Refused:
    return Refused(
        f"the shadow of partition {partition} is gone or another run's by now: another `tidemark verify` or `rebuild`"
        " began, or Redis lost writes; what is live was not changed, run it again"
    )
