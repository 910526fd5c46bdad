"""A bug on a frame is counted until the frame is known and held; who is held waits for it to be passed."""

import asyncio
from dataclasses import replace

import pytest

from aggregator import holding
from aggregator.errors import FrameHeld
from aggregator.retrying import Retrying
from services.counters import CRASHES_MAX
from services.health import HealthServer
from services.identifiers import Epoch, FrameOffset, PartitionId
from services.lifecycle import Refused
from services.memory_counters import MemoryCounterStore
from services.telemetry import Telemetry
from tests.support.written_frames import poison_frame
from tests.unit.aggregator.test_owner import PARTITION, heartbeats, owner_of, settings_of

POISON_AT = 3


async def runs(store: MemoryCounterStore, *, poison_at: int = POISON_AT) -> list[BaseException]:
    """Begin again and again on one log, until the frame is held; return what each run ended with."""
    log = [*heartbeats(poison_at), poison_frame(settings_of()), *heartbeats(4)]
    ends: list[BaseException] = []
    while not ends or not isinstance(ends[-1], FrameHeld):
        owner = owner_of(store)
        first = (await owner.assign([PARTITION]))[PARTITION]
        for offset in range(first, len(log)):
            await owner.offer(PARTITION, FrameOffset(offset), log[offset], lambda: None)
        await asyncio.wait({owner.failed}, timeout=10)
        error = owner.failed.exception()
        assert error is not None
        ends.append(error)
        await owner.release()
    return ends


@pytest.mark.parametrize("poison_at", [0, POISON_AT])
async def test_a_frame_that_raises_is_held_after_five_crashes_whatever_it_was_folded_with(poison_at: int) -> None:
    store = MemoryCounterStore(1)
    *before, held = await runs(store, poison_at=poison_at)
    assert {type(error) for error in before} == {OverflowError}
    # Where frames before it were folded with it, the first crash was not its own.
    assert len(before) == CRASHES_MAX - (0 if poison_at else 1)
    assert isinstance(held, FrameHeld)
    assert held.offset == poison_at
    assert f"--partition 0 --offset {poison_at}" in str(held)
    state = store.partitions[0].state
    assert state is not None
    assert state.applied_offset == poison_at - 1
    assert state.crash is not None
    assert "OverflowError in month_of_day (windows.py" in state.crash.cause


async def test_a_run_that_begins_on_a_held_frame_tries_it_once() -> None:
    store = MemoryCounterStore(1)
    await runs(store)
    assert len(await runs(store)) == 1


async def test_who_is_held_ends_refused_once_the_frame_is_passed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holding, "LOOK_INTERVAL_S", 0.01)
    store = MemoryCounterStore(1)
    await runs(store)
    held = FrameHeld(Epoch(1), PARTITION, FrameOffset(POISON_AT), crashes=5, cause="a bug")
    telemetry = Telemetry("aggregator")
    health = HealthServer(telemetry)
    waiting = asyncio.create_task(
        holding.stay_down(held, store, Retrying(telemetry, health), telemetry, health, asyncio.Event())
    )
    done, _ = await asyncio.wait({waiting}, timeout=0.1)
    assert not done
    assert health.page("/readyz")[0] == 503
    assert b'tidemark_held_frame{partition="0"} 3.0' in telemetry.exposition()[1]
    state = store.partitions[0].state
    assert state is not None
    store.partitions[0].state = replace(state, applied_offset=FrameOffset(POISON_AT))
    with pytest.raises(Refused, match="starting anew"):
        await asyncio.wait_for(waiting, 5)


async def test_who_is_held_ends_in_order_at_the_stop() -> None:
    store = MemoryCounterStore(1)
    await runs(store)
    held = FrameHeld(Epoch(1), PartitionId(0), FrameOffset(POISON_AT), crashes=5, cause="a bug")
    telemetry = Telemetry("aggregator")
    health = HealthServer(telemetry)
    stop = asyncio.Event()
    stop.set()
    await asyncio.wait_for(holding.stay_down(held, store, Retrying(telemetry, health), telemetry, health, stop), 5)
