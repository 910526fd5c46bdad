"""The owner of partitions: where an assignment begins, what it refuses, and that a rebalance holds up nobody."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import suppress
from typing import Any

import pytest

from aggregator import asking_log
from aggregator.errors import GapInLog, LogDiverged
from aggregator.frame_queue import QUEUE_FRAMES
from aggregator.log_probe import LogProbe
from aggregator.owner import Owner
from aggregator.retrying import Retrying
from services.counters import ApplyOutcome, ApplyRequest, PartitionState
from services.health import HealthServer
from services.identifiers import Epoch, FrameId, FrameOffset, PartitionId
from services.kafka import KafkaUnavailable
from services.lifecycle import Refused
from services.memory_counters import MemoryCounterStore
from services.settings import Settings
from services.telemetry import Telemetry
from tests.support.log_of_frames import FINGERPRINT, SECRET, FrameMaker

PARTITION = PartitionId(0)
TURNS = 100
"""Of the event loop, in which all that waits for nobody is done."""


class QuietProbe(LogProbe):
    """A log that begins at one offset and is always as it was."""

    def __init__(self, begin: int = 0) -> None:
        self.begin = begin

    async def bounds(self, partitions: Iterable[PartitionId]) -> dict[PartitionId, tuple[int, int]]:
        await asyncio.sleep(0)  # others go on meanwhile, as with a real one
        return dict.fromkeys(partitions, (self.begin, self.begin + 1000))

    async def check(self, partition: PartitionId, state: PartitionState, bounds: tuple[int, int]) -> None:
        return


class SpoiltProbe(QuietProbe):
    """A log that is another one by now, or lacks a frame, when it is looked at after the assignment."""

    def __init__(self) -> None:
        super().__init__()
        self.looks = 0

    async def check(self, partition: PartitionId, state: PartitionState, bounds: tuple[int, int]) -> None:
        self.looks += 1
        if self.looks > 1:
            raise LogDiverged("another log")

    async def check_gap(self, partition: PartitionId, offset: FrameOffset) -> None:
        raise GapInLog(f"no frame at {offset}")


def settings_of(**aggregator: Any) -> Settings:
    return Settings(topics={"frames_partitions": 1}, events={"identity_secret": SECRET}, aggregator=aggregator)


def owner_of(store: MemoryCounterStore, begin: int = 0, *, probe: LogProbe | None = None, **aggregator: Any) -> Owner:
    telemetry = Telemetry("aggregator")
    health = HealthServer(telemetry)
    settings = settings_of(**aggregator)
    return Owner(settings, store, probe or QuietProbe(begin), Retrying(telemetry, health), telemetry, health)


def begun(**changes: Any) -> PartitionState:
    fields: dict[str, Any] = {
        "epoch": Epoch(1),
        "applied_offset": FrameOffset(4),
        "frame_id": FrameId(9),
        "partitions": 1,
        "fingerprint": FINGERPRINT,
    }
    return PartitionState(**(fields | changes))


def heartbeats(number: int) -> list[bytes]:
    maker = FrameMaker(1)
    return [frame for _ in range(number) for frame in maker.poll({0: []})[0]]


class StuckStore(MemoryCounterStore):
    """A store that answers no apply."""

    async def apply(self, partition: PartitionId, request: ApplyRequest) -> ApplyOutcome:
        await asyncio.Event().wait()
        raise AssertionError


class AwayProbe(QuietProbe):
    """A log that does not answer the first time."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0

    async def bounds(self, partitions: Iterable[PartitionId]) -> dict[PartitionId, tuple[int, int]]:
        self.asked += 1
        if self.asked == 1:
            raise KafkaUnavailable("no answer")
        return await super().bounds(partitions)


async def test_an_assignment_waits_for_kafka(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking_log, "KAFKA_PAUSE_S", 0)
    probe = AwayProbe()
    owner = owner_of(MemoryCounterStore(1), probe=probe)
    assert await owner.assign([PARTITION]) == {PARTITION: 0}
    assert probe.asked == 2


async def test_an_assignment_does_not_wait_for_kafka_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking_log, "KAFKA_LIMIT_S", -1)
    owner = owner_of(MemoryCounterStore(1), probe=AwayProbe())
    with pytest.raises(KafkaUnavailable):
        await owner.assign([PARTITION])
    assert isinstance(owner.failed.exception(), KafkaUnavailable)


class DeafStore(StuckStore):
    """A store whose first apply takes its cancellation for an answer, as `wait_for` of Python 3.11 may."""

    async def apply(self, partition: PartitionId, request: ApplyRequest) -> ApplyOutcome:
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        return await super().apply(partition, request)


async def test_a_rebalance_lets_go_the_feeder_that_waits_for_room() -> None:
    owner = owner_of(StuckStore(1))
    assert await owner.assign([PARTITION]) == {PARTITION: 0}

    async def feed() -> None:
        for offset, frame in enumerate(heartbeats(3 * QUEUE_FRAMES)):
            await owner.offer(PARTITION, FrameOffset(offset), frame, lambda: None)

    feeder = asyncio.create_task(feed())
    done, _ = await asyncio.wait({feeder}, timeout=0.2)
    assert not done, "the queue never was full"
    await owner.release()
    await asyncio.wait_for(feeder, 5)


async def test_a_rebalance_ends_an_applier_that_lost_its_cancellation() -> None:
    owner = owner_of(DeafStore(1))
    await owner.assign([PARTITION])
    await owner.offer(PARTITION, FrameOffset(0), heartbeats(1)[0], lambda: None)
    await asyncio.sleep(0.05)
    await asyncio.wait_for(owner.release(), 5)


async def test_two_assignments_at_once_leave_one_applier_a_partition() -> None:
    owner = owner_of(MemoryCounterStore(1))
    before = asyncio.all_tasks()
    for positions in await asyncio.gather(owner.assign([PARTITION]), owner.assign([PARTITION])):
        assert positions == {PARTITION: 0}
    assert len(asyncio.all_tasks() - before) == 1
    await owner.release()
    assert asyncio.all_tasks() == before


async def test_an_assignment_begins_after_what_the_store_holds() -> None:
    store = MemoryCounterStore(1)
    await store.begin(PARTITION, begun())
    owner = owner_of(store)
    assert await owner.assign([PARTITION]) == {PARTITION: 5}
    await owner.release()


async def test_a_worker_is_ready_with_what_it_was_assigned_be_it_nothing_and_tells_nothing_of_what_it_gave_up() -> None:
    store = MemoryCounterStore(1)
    await store.begin(PARTITION, begun())
    telemetry = Telemetry("aggregator")
    health = HealthServer(telemetry)
    health.not_ready("assignment", "no partitions assigned yet")
    waiting = AskedProbe(health)
    owner = Owner(settings_of(), store, waiting, Retrying(telemetry, health), telemetry, health)
    owner.assigned_nothing()
    await until(lambda: health.page("/readyz")[0] == 200)
    await owner.assign([PARTITION])
    assert waiting.ready_meanwhile[-1] == 503
    assert health.page("/readyz")[0] == 200
    assert b"tidemark_applied_offset{" in telemetry.exposition()[1]
    owner.assigned_nothing()
    await until(lambda: b"tidemark_applied_offset{" not in telemetry.exposition()[1])
    assert owner.owned() == {}


async def until(met: Callable[[], bool]) -> None:
    for _ in range(TURNS):
        if met():
            return
        await asyncio.sleep(0)
    raise AssertionError


async def test_what_was_owned_stays_under_watch_while_its_log_cannot_be_seen() -> None:
    probe = AwayProbe()
    owner = owner_of(MemoryCounterStore(1), probe=probe)
    probe.asked = 1
    await owner.assign([PARTITION])
    probe.asked = 0
    owner.assigned_nothing()
    await until(lambda: bool(probe.asked))
    await asyncio.sleep(0)
    assert owner.owned().keys() == {PARTITION}
    await owner.release()


async def test_a_log_that_is_another_by_now_is_told_though_all_partitions_were_taken_away() -> None:
    owner = owner_of(MemoryCounterStore(1), probe=SpoiltProbe())
    await owner.assign([PARTITION])
    owner.assigned_nothing()
    with pytest.raises(LogDiverged):
        await asyncio.wait_for(owner.failed, 5)


async def test_partitions_that_are_assigned_meanwhile_stay() -> None:
    owner = owner_of(MemoryCounterStore(1))
    owner.assigned_nothing()
    await owner.assign([PARTITION])
    for _ in range(TURNS):
        await asyncio.sleep(0)
    assert owner.owned().keys() == {PARTITION}
    await owner.release()


class AskedProbe(QuietProbe):
    """Notes whether the worker was ready while it was asked."""

    def __init__(self, health: HealthServer) -> None:
        super().__init__()
        self._health = health
        self.ready_meanwhile: list[int] = []

    async def bounds(self, partitions: Iterable[PartitionId]) -> dict[PartitionId, tuple[int, int]]:
        self.ready_meanwhile.append(int(self._health.page("/readyz")[0]))
        return await super().bounds(partitions)


async def test_a_frame_of_a_partition_that_is_not_assigned_is_dropped() -> None:
    owner = owner_of(MemoryCounterStore(1))
    await owner.offer(PARTITION, FrameOffset(7), b"rubbish", lambda: None)
    assert not owner.failed.done()


@pytest.mark.parametrize(
    ("state", "said"),
    [
        (begun(partitions=2), "made with 2 partitions"),
        (begun(fingerprint="other"), "another events.identity_secret"),
    ],
)
async def test_counters_of_another_deployment_are_refused(state: PartitionState, said: str) -> None:
    store = MemoryCounterStore(1)
    await store.begin(PARTITION, state)
    owner = owner_of(store)
    with pytest.raises(Refused, match=said):
        await owner.assign([PARTITION])
    with pytest.raises(Refused, match=said):
        owner.failed.result()


async def test_counters_without_an_applied_offset_are_refused() -> None:
    store = MemoryCounterStore(1)
    store.partitions[0].hashes["tm:{0}:e1:d:acme/600"] = {b"0": b"\x01\x01"}
    owner = owner_of(store)
    with pytest.raises(Refused, match="no applied offset"):
        await owner.assign([PARTITION])
    owner.failed.exception()


async def test_an_empty_store_beside_a_log_without_its_start_is_refused_unless_allowed() -> None:
    refusing = owner_of(MemoryCounterStore(1), begin=3)
    with pytest.raises(Refused, match="allow_rebuild"):
        await refusing.assign([PARTITION])
    refusing.failed.exception()
    allowing = owner_of(MemoryCounterStore(1), begin=3, allow_rebuild=True)
    assert await allowing.assign([PARTITION]) == {PARTITION: 3}
    await allowing.release()


class BegunMeanwhile(MemoryCounterStore):
    """A store in which another owner begins the partition, and counts, after the first look."""

    async def keys(self, partition: PartitionId) -> AsyncIterator[str]:
        await self.begin(partition, begun())
        yield "tm:{0}:state"


async def test_a_partition_that_another_owner_began_meanwhile_is_taken_over_where_it_stands() -> None:
    owner = owner_of(BegunMeanwhile(1))
    assert await owner.assign([PARTITION]) == {PARTITION: 5}
    await owner.release()


async def test_a_partition_beyond_the_settings_count_is_refused() -> None:
    owner = owner_of(MemoryCounterStore(1))
    with pytest.raises(Refused, match="P is fixed for a deployment"):
        await owner.assign([PARTITION, PartitionId(1)])
    owner.failed.exception()


async def test_a_log_that_is_read_from_the_front_again_is_looked_at_before_anything_of_it_is_applied() -> None:
    store = MemoryCounterStore(1)
    await store.begin(PARTITION, begun(applied_offset=FrameOffset(0)))
    owner = owner_of(store, probe=SpoiltProbe())
    assert await owner.assign([PARTITION]) == {PARTITION: 1}
    for offset, frame in enumerate(heartbeats(2)):
        await owner.offer(PARTITION, FrameOffset(offset), frame, lambda: None)
    with pytest.raises(LogDiverged, match="another log"):
        owner.failed.result()
    assert owner.owned()[PARTITION].applied_offset == 0
    await owner.release()


async def test_a_log_with_a_hole_is_told_from_frames_that_were_only_skipped() -> None:
    owner = owner_of(MemoryCounterStore(1), probe=SpoiltProbe())
    await owner.assign([PARTITION])
    await owner.offer(PARTITION, FrameOffset(1), heartbeats(1)[0], lambda: None)
    with pytest.raises(GapInLog, match="no frame at 0"):
        owner.failed.result()
    await owner.release()


def waiting(owner: Owner) -> list[str]:
    return sorted(name for name, work in owner.works().items() if work.waits)


async def until_waiting(owner: Owner, wanted: list[str]) -> None:
    async with asyncio.timeout(5):
        while waiting(owner) != wanted:  # noqa: ASYNC110 -- its watches are waited for
            await asyncio.sleep(0)


async def test_frames_that_came_and_are_not_applied_wait_and_those_that_are_do_not() -> None:
    store = StuckStore(1)
    owner = owner_of(store)
    await owner.assign([PARTITION])
    assert waiting(owner) == []
    await owner.offer(PARTITION, FrameOffset(0), heartbeats(1)[0], lambda: None)
    assert waiting(owner) == ["partition 0 of usage.frames"]
    for _ in range(50):
        await asyncio.sleep(0)
    assert waiting(owner) == ["partition 0 of usage.frames"], "while it is on its way"
    await owner.release()
    assert waiting(owner) == []


async def test_frames_that_stand_in_the_log_and_do_not_come_wait_until_somebody_applied_them() -> None:
    store = MemoryCounterStore(1)
    owner = owner_of(store, check_interval=0, frame_check_interval=0)
    await owner.assign([PARTITION])
    watches = [asyncio.create_task(watch) for watch in (owner.watch_log(), owner.watch_store())]
    await until_waiting(owner, ["partition 0 of usage.frames"])  # the probe's log ends at 1000
    before = owner.works()["partition 0 of usage.frames"].mark
    applied = ApplyRequest(epoch=Epoch(1), first=FrameOffset(0), last=FrameOffset(999), frame_id=FrameId(1))
    await store.apply(PARTITION, applied)
    await until_waiting(owner, [])
    assert owner.works()["partition 0 of usage.frames"].mark != before
    for watch in watches:
        watch.cancel()
    await asyncio.gather(*watches, return_exceptions=True)
    await owner.release()


async def test_an_assignment_waits_while_it_lasts() -> None:
    seen: list[list[str]] = []

    class LookingProbe(QuietProbe):
        async def bounds(self, partitions: Iterable[PartitionId]) -> dict[PartitionId, tuple[int, int]]:
            seen.append(waiting(owner))
            return await super().bounds(partitions)

    owner = owner_of(MemoryCounterStore(1), probe=LookingProbe())
    await owner.assign([PARTITION])
    assert seen == [["an assignment"]]
    assert waiting(owner) == []
    await owner.release()
