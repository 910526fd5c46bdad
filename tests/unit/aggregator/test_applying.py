"""The applier against a store that fails: unknown replies, other owners, lost writes; totals stay exact."""

import asyncio
import copy
from collections.abc import AsyncIterator, Sequence
from typing import Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aggregator.applying import PartitionApplier, Shared
from aggregator.errors import LostWrites
from aggregator.folding import Fold, Folded
from aggregator.holding import count_crash
from aggregator.known import FIELDS_MAX, Knowledge, Known
from aggregator.lull import Lull
from aggregator.retrying import Retrying
from services.counters import ApplyOutcome, ApplyRequest, PartitionState, ReadRequest, ReadResult, StoreUnavailable
from services.crash_points import CrashPoints
from services.health import HealthServer
from services.identifiers import FrameOffset, PartitionId
from services.lifecycle import Refused
from services.memory_counters import MemoryCounterStore
from services.spans import Spans
from services.telemetry import Telemetry
from tests.support.folded_log import FOR_EVER
from tests.support.log_of_frames import FINGERPRINT, TopicReader
from tests.unit.aggregator.lines import both_topics
from tests.unit.aggregator.test_fold import PARTITION, fold_all, log_of, sizes

Fault = Literal["none", "away before", "reply lost", "other owner first", "failover under the retry"]
FAULTS: list[Fault] = ["none", "away before", "reply lost", "other owner first", "failover under the retry"]


class FaultyStore(MemoryCounterStore):
    """A store that has one of the faults at each apply, and takes so many turns of the loop for each call, in turn."""

    def __init__(self, faults: Sequence[Fault] = (), turns: Sequence[int] = ()) -> None:
        super().__init__(1)
        self.faults = list(faults)
        self.turns = list(turns)

    async def read(self, partition: PartitionId, request: ReadRequest) -> ReadResult:
        await self._take_turns()
        return await super().read(partition, request)

    async def _take_turns(self) -> None:
        for _ in range(self.turns.pop(0) if self.turns else 0):
            await asyncio.sleep(0)

    async def apply(self, partition: PartitionId, request: ApplyRequest) -> ApplyOutcome:
        await self._take_turns()
        match self.faults.pop(0) if self.faults else "none":
            case "none":
                return await super().apply(partition, request)
            case "away before":
                raise StoreUnavailable("away")
            case "reply lost":
                await super().apply(partition, request)
                raise StoreUnavailable("the reply was lost")
            case "other owner first":
                await super().apply(partition, request)
                return await super().apply(partition, request)
            case _:
                before = copy.deepcopy(self.partitions[0])
                await super().apply(partition, request)
                self.partitions[0] = before
                raise StoreUnavailable("the replica that took over has not got it")


def applier_on(
    store: MemoryCounterStore,
    state: PartitionState,
    *,
    max_items: int = 20_000,
    knowledge: Knowledge | None = None,
    spans: Spans | None = None,
) -> PartitionApplier:
    telemetry = Telemetry("aggregator")
    shared = Shared(
        store=store,
        keeping=FOR_EVER,
        knowledge=knowledge or Knowledge(),
        max_items=max_items,
        retrying=Retrying(telemetry, HealthServer(telemetry)),
        telemetry=telemetry,
        crash_points=CrashPoints(""),
        lull=Lull(),
        spans=spans,
    )
    return PartitionApplier(PARTITION, "0", state, shared)


async def apply_all(
    store: MemoryCounterStore, frames: Sequence[bytes], *, max_items: int = 20_000, hashes_max: int = FIELDS_MAX
) -> None:
    """Feed a log to an applier and wait until it is applied, or until the applier fails."""
    empty, _ = await fold_all([], [])
    state = empty.partitions[0].state
    assert state is not None
    knowledge = Knowledge()
    knowledge.hashes = Known(hashes_max)
    applier = applier_on(store, await store.begin(PARTITION, state), max_items=max_items, knowledge=knowledge)
    done = asyncio.Event()
    running = asyncio.create_task(applier.run())

    waiting = asyncio.create_task(offer_all(applier, frames, done))
    try:
        await asyncio.wait({running, waiting}, return_when=asyncio.FIRST_COMPLETED, timeout=30)
        if running.done():
            running.result()
        assert done.is_set()
    finally:
        for task in (running, waiting):
            task.cancel()
        await asyncio.gather(running, waiting, return_exceptions=True)


async def offer_all(applier: PartitionApplier, frames: Sequence[bytes], done: asyncio.Event) -> None:
    """Offer a log as fast as it is taken, and wait until its last frame is done."""
    for offset, frame in enumerate(frames):
        last = offset == len(frames) - 1
        await applier.queue.offer(FrameOffset(offset), frame, done.set if last else lambda: None)
    await done.wait()


@pytest.fixture(autouse=True)
def without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aggregator.retrying.MAX_PAUSE_S", 0.0)


@settings(max_examples=60, deadline=None)
@given(both_topics(st.nothing()), sizes, st.lists(st.sampled_from(FAULTS), max_size=12))
async def test_whatever_becomes_of_a_reply_the_state_is_that_of_a_calm_day(
    given_lines: list[tuple[str, bytes]], poll_sizes: list[int], faults: list[Fault]
) -> None:
    [frames] = TopicReader(1, first_ms=3 * 10**12).read_all(given_lines, poll_sizes)
    calm, _ = await fold_all(frames, [1] * len(frames))
    stormy = FaultyStore(faults)
    await apply_all(stormy, frames)
    assert stormy.partitions == calm.partitions


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    both_topics(st.nothing()),
    sizes,
    st.lists(st.sampled_from(FAULTS), max_size=12),
    st.lists(st.integers(0, 30), max_size=60),
    st.sampled_from([1, 12, 40]),
    st.sampled_from([2, FIELDS_MAX]),
)
async def test_a_run_folded_while_the_last_one_is_on_its_way_finds_what_that_leaves(
    monkeypatch: pytest.MonkeyPatch,
    given_lines: list[tuple[str, bytes]],
    poll_sizes: list[int],
    faults: list[Fault],
    turns: list[int],
    max_items: int,
    hashes_max: int,
) -> None:
    monkeypatch.setattr("aggregator.known._LOOK_EVERY", 1)
    [frames] = TopicReader(1, first_ms=3 * 10**12).read_all(given_lines, poll_sizes)
    calm, _ = await fold_all(frames, [1] * len(frames))
    stormy = FaultyStore(faults, turns)
    await apply_all(stormy, frames, max_items=max_items, hashes_max=hashes_max)
    assert stormy.partitions == calm.partitions


async def test_a_full_call_is_folded_while_the_last_one_is_on_its_way() -> None:
    event = (
        b'{"specversion":"1.0","id":"%d","source":"s","type":"usage.chat","time":"2025-0%d-01T00:00:00Z",'
        b'"subject":"ann","organizationid":"acme","data":{"interactions":1}}'
    )
    frames = log_of([event % (month, month) for month in range(1, 7)], [1] * 6)
    calm, _ = await fold_all(frames, [1] * 6)
    store = OverlapNoting()
    await apply_all(store, frames, max_items=8)
    assert store.overlaps
    assert store.partitions == calm.partitions


async def test_a_fold_that_raises_while_the_last_run_is_on_its_way_is_counted_on_its_own_frames(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    event = (
        b'{"specversion":"1.0","id":"%d","source":"s","type":"usage.chat","time":"2025-01-01T00:00:00Z",'
        b'"subject":"ann","organizationid":"acme","data":{"interactions":1}}'
    )
    finish, bad = Fold.finish, FrameOffset(4)

    def raise_at_bad(fold: Fold, read: ReadResult) -> Folded:
        folded = finish(fold, read)
        if folded.request.first <= bad <= folded.request.last:
            raise ZeroDivisionError
        return folded

    monkeypatch.setattr(Fold, "finish", raise_at_bad)
    store = FaultyStore(turns=[0] * 3 + [50] * 100)
    empty, _ = await fold_all([], [])
    state = empty.partitions[0].state
    assert state is not None
    applier = applier_on(store, await store.begin(PARTITION, state), max_items=8)
    running = asyncio.create_task(applier.run())
    frames = log_of([event % number for number in range(8)], [1] * 8)
    feeding = asyncio.create_task(offer_all(applier, frames, asyncio.Event()))
    await asyncio.wait({running}, timeout=30)
    feeding.cancel()
    error = running.exception()
    assert isinstance(error, ZeroDivisionError)
    await count_crash(store, Retrying(Telemetry("aggregator"), HealthServer(Telemetry("aggregator"))), applier, error)
    counted = store.partitions[0].state
    assert counted is not None
    assert counted.crash is not None
    assert counted.crash.first == counted.applied_offset + 1
    assert counted.crash.first <= bad <= counted.crash.last


class OverlapNoting(FaultyStore):
    """Notes each read that comes while an apply is on its way."""

    def __init__(self) -> None:
        super().__init__(turns=[50] * 100)
        self.applying = False
        self.overlaps = 0

    async def read(self, partition: PartitionId, request: ReadRequest) -> ReadResult:
        self.overlaps += self.applying
        return await MemoryCounterStore.read(self, partition, request)

    async def apply(self, partition: PartitionId, request: ApplyRequest) -> ApplyOutcome:
        self.applying = True
        outcome = await super().apply(partition, request)
        self.applying = False
        return outcome


class RolledBackStore(MemoryCounterStore):
    """A store that goes back to its first state before the third read, or before the third apply."""

    def __init__(self, call: Literal["read", "apply"]) -> None:
        super().__init__(1)
        self._call = call
        self._calls = 0

    async def read(self, partition: PartitionId, request: ReadRequest) -> ReadResult:
        await self._note("read")
        return await super().read(partition, request)

    async def apply(self, partition: PartitionId, request: ApplyRequest) -> ApplyOutcome:
        await self._note("apply")
        return await super().apply(partition, request)

    async def _note(self, call: str) -> None:
        self._calls += call == self._call
        if self._calls == 3:
            empty, _ = await fold_all([], [])
            self.partitions[0] = empty.partitions[0]


@pytest.fixture
def event_frames() -> list[bytes]:
    event = (
        b'{"specversion":"1.0","id":"%d","source":"s","type":"usage.chat","time":"2025-01-01T00:00:00Z",'
        b'"subject":"user-%d","organizationid":"acme","data":{"interactions":1}}'
    )
    return log_of([event % (number, number) for number in range(6)], [1, 1, 1, 1, 1])


@pytest.mark.parametrize("call", ["read", "apply"])
async def test_a_store_that_lost_writes_ends_the_worker(
    event_frames: list[bytes], call: Literal["read", "apply"]
) -> None:
    with pytest.raises(LostWrites, match="lost writes"):
        await feed_slowly(RolledBackStore(call), event_frames)


async def test_a_fold_on_what_is_known_reads_nothing(event_frames: list[bytes]) -> None:
    store = CountingStore()
    await feed_slowly(store, [event_frames[0]] * 3)
    assert (store.reads, store.partitions[0].state and store.partitions[0].state.applied_offset) == (2, 2)


class CountingStore(MemoryCounterStore):
    def __init__(self) -> None:
        super().__init__(1)
        self.reads = 0

    async def read(self, partition: PartitionId, request: ReadRequest) -> ReadResult:
        self.reads += 1
        return await super().read(partition, request)


async def feed_slowly(store: MemoryCounterStore, frames: Sequence[bytes]) -> None:
    """Feed one frame after the other, each once the one before is applied or the applier has failed."""
    empty, _ = await fold_all([], [])
    state = empty.partitions[0].state
    assert state is not None
    applier = applier_on(store, await store.begin(PARTITION, state))
    running = asyncio.create_task(applier.run())
    async for _ in fed(applier, running, frames):
        pass
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def fed(applier: PartitionApplier, running: asyncio.Task[None], frames: Sequence[bytes]) -> AsyncIterator[int]:
    for offset, frame in enumerate(frames):
        done = asyncio.Event()
        await applier.queue.offer(FrameOffset(offset), frame, done.set)
        waiting = asyncio.create_task(done.wait())
        await asyncio.wait({running, waiting}, return_when=asyncio.FIRST_COMPLETED, timeout=30)
        waiting.cancel()
        if running.done():
            running.result()
        yield offset


async def test_after_an_apply_that_was_another_owners_nothing_is_folded_on_what_was_known(
    event_frames: list[bytes],
) -> None:
    calm, _ = await fold_all(event_frames, [1] * len(event_frames))
    store = FaultyStore(["none", "other owner first"])
    await feed_slowly(store, event_frames)
    assert store.partitions == calm.partitions
    # The other one may have applied more than this one sent, and learnt with that.
    ahead, _ = await fold_all(event_frames[:4], [1] * 4)
    overtaken = OvertakenStore(ahead)
    await feed_slowly(overtaken, event_frames)
    assert overtaken.partitions == calm.partitions


class OvertakenStore(MemoryCounterStore):
    """A store where another owner is further ahead by the second apply."""

    def __init__(self, ahead: MemoryCounterStore) -> None:
        super().__init__(1)
        self._ahead = ahead
        self._applies = 0

    async def apply(self, partition: PartitionId, request: ApplyRequest) -> ApplyOutcome:
        self._applies += 1
        if self._applies == 2:
            self.partitions = copy.deepcopy(self._ahead.partitions)
        return await super().apply(partition, request)


async def test_a_frame_that_is_missing_from_the_stream_ends_the_worker(event_frames: list[bytes]) -> None:
    empty, _ = await fold_all([], [])
    state = empty.partitions[0].state
    assert state is not None
    applier = applier_on(empty, state)
    await applier.queue.offer(FrameOffset(0), event_frames[0], lambda: None)
    with pytest.raises(LostWrites, match="frame 2 came where 1 was expected"):
        await applier.queue.offer(FrameOffset(2), event_frames[2], lambda: None)


async def test_a_frame_offered_again_is_done_and_dropped(event_frames: list[bytes]) -> None:
    store = MemoryCounterStore(1)
    await apply_all(store, event_frames)
    state = store.partitions[0].state
    assert state is not None
    done = asyncio.Event()
    await applier_on(store, state).queue.offer(FrameOffset(0), event_frames[0], done.set)
    assert done.is_set()


async def test_a_frame_of_another_version_or_secret_is_refused() -> None:
    empty, _ = await fold_all([], [])
    state = empty.partitions[0].state
    assert state is not None
    assert state.fingerprint == FINGERPRINT
    applier = applier_on(empty, state)
    await applier.queue.offer(FrameOffset(0), b"rubbish", lambda: None)
    with pytest.raises(Refused, match="not a frame"):
        await applier.run()
