"""Several owners of a partition at once, each cutting the log otherwise, on a store that fails: a calm day's state."""

import asyncio
import copy
import random
from collections.abc import Sequence

import pytest

from aggregator.applying import PartitionApplier
from aggregator.errors import LostWrites
from aggregator.known import FIELDS_MAX, Knowledge, Known
from aggregator.known_ids import KnownIds
from aggregator.owner import _end
from services.counters import ApplyOutcome, ApplyRequest, PartitionState, ReadRequest, ReadResult, StoreUnavailable
from services.identifiers import FrameOffset, PartitionId
from services.memory_counters import MemoryCounterStore
from tests.unit.aggregator.test_applying import applier_on
from tests.unit.aggregator.test_fold import PARTITION, fold_all, log_of

EVENT = (
    b'{"specversion":"1.0","id":"%d","source":"s","type":"usage.%s","time":"2025-0%d-%02dT0%d:00:00Z",'
    b'"subject":"user-%d","organizationid":"org-%d","teamid":"team-%d","data":{"interactions":1}}'
)


class StrangeStore(MemoryCounterStore):
    """Takes turns for each call, is away, loses replies, applies late, and is set back to an earlier state."""

    def __init__(self, chance: random.Random, *, rollbacks: int) -> None:
        super().__init__(1)
        self._chance = chance
        self._rollbacks = rollbacks
        self._earlier = [copy.deepcopy(self.partitions[0])]
        self.late: list[asyncio.Task[ApplyOutcome]] = []

    async def state(self, partition: PartitionId) -> PartitionState | None:
        await self._turns()
        return await super().state(partition)

    async def read(self, partition: PartitionId, request: ReadRequest) -> ReadResult:
        if self._chance.random() < 0.1:
            raise StoreUnavailable("away")
        await self._turns()
        answer = copy.deepcopy(await super().read(partition, request))
        await self._turns()
        return answer

    async def apply(self, partition: PartitionId, request: ApplyRequest) -> ApplyOutcome:
        await self._turns()
        fate = self._chance.random()
        if fate < 0.1:
            raise StoreUnavailable("away")
        if fate < 0.15:
            self.late.append(asyncio.create_task(self._apply_late(partition, request)))
            raise StoreUnavailable("cut off, and yet applied later")
        self._earlier.append(copy.deepcopy(self.partitions[0]))
        if self._rollbacks and fate > 0.95:
            self._rollbacks -= 1
            self.partitions[0] = copy.deepcopy(self._chance.choice(self._earlier[1:]))
        outcome = await super().apply(partition, request)
        if fate < 0.3:
            raise StoreUnavailable("the reply was lost")
        await self._turns()
        return outcome

    async def _apply_late(self, partition: PartitionId, request: ApplyRequest) -> ApplyOutcome:
        for _ in range(self._chance.choice([1, 20, 80])):
            await asyncio.sleep(0)
        return await super().apply(partition, request)

    async def _turns(self) -> None:
        for _ in range(self._chance.choice([0, 0, 1, 5, 30])):
            await asyncio.sleep(0)


@pytest.mark.parametrize("seed", range(40))
async def test_owners_at_once_leave_what_one_would(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    monkeypatch.setattr("aggregator.retrying.MAX_PAUSE_S", 0.0)
    monkeypatch.setattr("aggregator.known._LOOK_EVERY", 1)
    chance = random.Random(seed)
    events = [drawn_event(chance) for _ in range(chance.randint(5, 40))]
    frames = log_of(events, [chance.randint(1, 4) for _ in events])
    calm, _ = await fold_all(frames, [1] * len(frames))
    empty, _ = await fold_all([], [])
    assert empty.partitions[0].state is not None
    store = StrangeStore(chance, rollbacks=chance.choice([0, 0, 3]))
    await store.begin(PARTITION, empty.partitions[0].state)
    owners = [own(store, frames, chance) for _ in range(chance.randint(1, 3))]
    await asyncio.wait_for(asyncio.gather(*owners), 60)
    await asyncio.gather(*store.late)
    # Another owner's rollback may have undone the end after one had seen it.
    await asyncio.wait_for(own(store, frames, chance), 60)
    assert store.partitions == calm.partitions


def drawn_event(chance: random.Random) -> bytes:
    return EVENT % (
        chance.randint(0, 25),
        chance.choice([b"chat", b"agent"]),
        *(chance.randint(1, 2), chance.randint(1, 2), chance.randint(0, 1)),
        *(chance.randint(0, 4), chance.randint(0, 1), chance.randint(0, 1)),
    )


async def own(store: StrangeStore, frames: Sequence[bytes], chance: random.Random) -> None:
    """Apply the log by one worker after the other, each stopped or failing at some time, until it is applied."""
    end = len(frames) - 1
    while (state := await store.state(PARTITION)) is None or state.applied_offset < end:
        assert state is not None
        fields_max, knowledge = chance.choice([2, 8, FIELDS_MAX]), Knowledge(FIELDS_MAX)
        knowledge.hashes, knowledge.ordinals = Known(fields_max), Known(fields_max)
        knowledge.ids = KnownIds(max(fields_max, 5))
        max_items = chance.choice([1, 8, 12, 40, 2_000])
        applier = applier_on(store, state, max_items=max_items, knowledge=knowledge)
        feeding = asyncio.create_task(feed(applier, frames, state.applied_offset + 1, chance))
        running = asyncio.create_task(applier.run())
        stopping = asyncio.create_task(asyncio.sleep(chance.choice([0.001, 0.005, 0.02, 5])))
        await asyncio.wait({running, feeding, stopping}, return_when=asyncio.FIRST_COMPLETED)
        failure = running.exception() if running.done() else None
        assert failure is None or isinstance(failure, LostWrites), failure
        await _end([running, feeding, stopping])


async def feed(applier: PartitionApplier, frames: Sequence[bytes], begin: int, chance: random.Random) -> None:
    """Offer the frames from `begin` on, in some rhythm, and wait until the last is done."""
    done = asyncio.Event()
    for offset in range(begin, len(frames)):
        last = offset == len(frames) - 1
        await applier.queue.offer(FrameOffset(offset), frames[offset], done.set if last else lambda: None)
        for _ in range(chance.choice([0, 0, 3, 30])):
            await asyncio.sleep(0)
    await done.wait()
