"""A shadow's store keeps to its epoch, lets its hashes end, and makes calls no faster than its share allows."""

import asyncio
from dataclasses import replace

import pytest

from aggregator.pacing import Pace
from aggregator.shadow_store import LEASE_S, ShadowStore
from services.clock import monotonic_s, now_ms
from services.counters import (
    NOTHING_APPLIED,
    Applied,
    ApplyOutcome,
    ApplyRequest,
    PartitionState,
    ReadRequest,
    ReadResult,
    StoreUnavailable,
    WrongEpoch,
)
from services.identifiers import Epoch, FrameId, FrameOffset, PartitionId
from services.lifecycle import Refused
from services.memory_counters import MemoryCounterStore

PARTITION = PartitionId(0)
EPOCH = Epoch(5)
CALL_S = 0.01


def begun(epoch: Epoch) -> PartitionState:
    return PartitionState(epoch=epoch, applied_offset=NOTHING_APPLIED, frame_id=None, partitions=1, fingerprint="f")


def run_of(number: int, end_s: int) -> ApplyRequest:
    return ApplyRequest(
        epoch=EPOCH,
        first=FrameOffset(number),
        last=FrameOffset(number),
        frame_id=FrameId(number),
        hashes=[["a", "1", b"x"], ["b", "1", b"x"]],
        hash_expiry_s=[end_s, 0],
    )


@pytest.mark.parametrize("leased", [True, False])
async def test_hashes_of_a_shadow_that_is_not_swapped_in_end_and_those_of_another_end_by_their_windows(
    leased: bool,
) -> None:
    memory = MemoryCounterStore(1)
    store = ShadowStore(memory, Pace(1), begun(EPOCH), leased=leased)
    await store.begin(PARTITION, begun(EPOCH))
    for number in range(2):
        assert await store.apply(PARTITION, run_of(number, 7)) == Applied()
    ends = memory.partitions[0].expiry_s
    if leased:
        assert {key: round((end - now_ms() / 1000) / 60) for key, end in ends.items()} == dict.fromkeys(
            ["a", "b"], LEASE_S // 60
        )
    else:
        assert ends == {"a": 7}


async def test_the_shadow_of_another_run_is_neither_read_nor_written() -> None:
    memory = MemoryCounterStore(1)
    store = ShadowStore(memory, Pace(1), begun(EPOCH), leased=True)
    with pytest.raises(Refused, match="another run's by now"):
        await store.state(PARTITION)
    await memory.begin(PARTITION, begun(Epoch(6)))
    assert await store.apply(PARTITION, run_of(0, 0)) == WrongEpoch(Epoch(6))
    for call in (store.state(PARTITION), store.read(PARTITION, ReadRequest(whole=["a"]))):
        with pytest.raises(Refused, match="another run's by now"):
            await call


async def test_only_what_may_have_been_written_is_asked_for() -> None:
    memory = MemoryCounterStore(1)
    store = ShadowStore(memory, Pace(1), begun(EPOCH), leased=False)
    await store.begin(PARTITION, begun(EPOCH))
    request = ReadRequest(
        fields=[["u", "1"], ["a", "1", "2"]], members=[["s", b"5"], ["s2", b"5", b"6"]], whole=["b", "u"]
    )
    # Nothing of it was written by this store, whatever a stranger did.
    memory.partitions[0].hashes["u"] = {b"1": b"stranger"}
    nothing = ReadResult(state=begun(EPOCH), fields=[None, None, None], members=[0, 0, 0], whole=[{}, {}])
    assert await store.read(PARTITION, request) == nothing
    run = replace(run_of(0, 0), sets=[["s2", b"6"]])
    assert await store.apply(PARTITION, run) == Applied()
    held = ReadResult(
        state=run.state_after(begun(EPOCH)), fields=[None, b"x", None], members=[0, 0, 1], whole=[{b"1": b"x"}, {}]
    )
    assert await store.read(PARTITION, request) == held
    store.wrote(["u"])
    assert (await store.read(PARTITION, request)).fields == [b"stranger", b"x", None]


class LateReads(MemoryCounterStore):
    """A store whose reads are answered when they are let go, as they saw it when they were asked."""

    def __init__(self) -> None:
        super().__init__(1)
        self.let_go = asyncio.Event()

    async def read(self, partition: PartitionId, request: ReadRequest) -> ReadResult:
        seen = await super().read(partition, request)
        await self.let_go.wait()
        return seen


async def test_a_read_that_is_answered_behind_a_later_apply_does_not_set_back_what_is_known() -> None:
    memory = LateReads()
    store = ShadowStore(memory, Pace(1), begun(EPOCH), leased=False)
    await store.begin(PARTITION, begun(EPOCH))
    await store.apply(PARTITION, run_of(0, 0))
    late = asyncio.create_task(store.read(PARTITION, ReadRequest(whole=["a"])))
    await asyncio.sleep(0)
    applied = run_of(1, 0)
    assert await store.apply(PARTITION, applied) == Applied()
    memory.let_go.set()
    assert (await late).state == run_of(0, 0).state_after(begun(EPOCH))
    assert (await store.read(PARTITION, ReadRequest(whole=["never written"]))).state == applied.state_after(
        begun(EPOCH)
    )


class DeafOnce(MemoryCounterStore):
    """A store that is away when the first apply comes."""

    was_away = False

    async def apply(self, partition: PartitionId, request: ApplyRequest) -> ApplyOutcome:
        if not self.was_away:
            self.was_away = True
            raise StoreUnavailable("away")
        return await super().apply(partition, request)


async def test_hashes_end_too_whose_first_write_had_to_be_sent_again() -> None:
    memory = DeafOnce(1)
    store = ShadowStore(memory, Pace(1), begun(EPOCH), leased=True)
    await store.begin(PARTITION, begun(EPOCH))
    with pytest.raises(StoreUnavailable):
        await store.apply(PARTITION, run_of(0, 7))
    assert await store.apply(PARTITION, run_of(0, 7)) == Applied()
    assert memory.partitions[0].expiry_s.keys() == {"a", "b"}


@pytest.mark.parametrize(("share", "at_least", "at_most"), [(0.2, 2 * CALL_S / 0.2, 10), (1, 0, 2.9 * CALL_S)])
async def test_calls_take_their_share_of_the_time(share: float, at_least: float, at_most: float) -> None:
    pace, began_s = Pace(share), monotonic_s()
    under_way = 0

    async def call() -> int:
        nonlocal under_way
        under_way += 1
        seen = under_way
        await asyncio.sleep(CALL_S)
        under_way -= 1
        return seen

    at_once = await asyncio.gather(*(pace(call) for _ in range(3)))
    assert max(at_once) == (1 if share < 1 else 3)
    assert at_least <= monotonic_s() - began_s
    if share == 1:
        assert monotonic_s() - began_s < max(at_most, 1)
