"""A log of frames folded once more: exactly as far as asked, to what any fold of it gives, past skipped bytes."""

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from aggregator.applying import Shared
from aggregator.errors import GapInLog
from aggregator.known import Knowledge
from aggregator.lull import Lull
from aggregator.pacing import Pace
from aggregator.retrying import Retrying
from aggregator.shadow_fold import ShadowFold
from aggregator.shadow_store import ShadowStore
from services.counters import NOTHING_APPLIED, PartitionState
from services.crash_points import CrashPoints
from services.health import HealthServer
from services.identifiers import Epoch, FrameOffset, PartitionId
from services.lifecycle import Refused
from services.memory_counters import MemoryCounterStore
from services.settings import Settings
from services.telemetry import Telemetry
from services.topics import create_missing
from tests.support.folded_log import FOR_EVER, begun, fold_logs
from tests.support.log_of_frames import FINGERPRINT, SECRET, TopicReader
from tests.support.records import Record, produce
from tests.support.servers import Broker
from tests.support.written_frames import newer_frame, poison_frame
from tests.unit.ingest.good_events import compact, event

pytestmark = [pytest.mark.integration, pytest.mark.guarantee]

PARTITION = PartitionId(0)
EPOCH = Epoch(3)


async def settings_for(kafka: Broker) -> Settings:
    prefix = f"shadow-{uuid.uuid4().hex[:8]}"
    names: dict[str, Any] = {name: f"{prefix}.{name}" for name in ("events", "directory", "frames", "dead_letters")}
    settings = Settings(
        kafka={"bootstrap_servers": kafka.bootstrap},
        topics={**names, "frames_partitions": 1},
        events={"identity_secret": SECRET},
    )
    await create_missing(settings)
    return settings


def frames_of(events: int) -> list[bytes]:
    lines = [compact(event(id=str(number // 2), subject=f"user-{number % 7}")) for number in range(events)]
    [frames] = TopicReader(1, first_ms=3 * 10**12, frame_events=2).read_all([("events", line) for line in lines], [])
    return frames


@asynccontextmanager
async def folding(
    settings: Settings, first: int = 0
) -> AsyncIterator[tuple[ShadowFold, MemoryCounterStore, list[int]]]:
    memory, applied = MemoryCounterStore(1), list[int]()
    state = PartitionState(
        epoch=EPOCH,
        applied_offset=FrameOffset(NOTHING_APPLIED + first),
        frame_id=None,
        partitions=1,
        fingerprint=FINGERPRINT,
    )
    await memory.begin(PARTITION, state)
    telemetry = Telemetry("aggregator")
    shared = Shared(
        store=ShadowStore(memory, Pace(1), state, leased=False),
        keeping=FOR_EVER,
        knowledge=Knowledge(),
        max_items=20_000,
        retrying=Retrying(telemetry, HealthServer(telemetry), limit_s=5),
        telemetry=telemetry,
        crash_points=CrashPoints(""),
        lull=Lull(),
    )
    fold = ShadowFold(settings, PARTITION, state, shared, applied.append)
    try:
        await fold.start()
        yield fold, memory, applied
    finally:
        await fold.stop()


async def test_a_fold_stops_at_the_frame_it_is_told_and_comes_to_what_any_fold_comes_to(kafka: Broker) -> None:
    settings, frames = await settings_for(kafka), frames_of(40)
    produce(kafka.bootstrap, settings.topics.frames, map(Record, frames))
    async with folding(settings) as (fold, memory, applied):
        for last in (0, 0, 3, 11, len(frames) - 1):
            await fold.fold_to(FrameOffset(last))
            assert fold.reached == memory.partitions[0].state
            assert (fold.reached.applied_offset, sum(applied)) == (last, last + 1)
    expected = await begun(1, EPOCH)
    await fold_logs(expected, [frames])
    found = memory.partitions[0]
    assert found.hashes
    assert (found.hashes, found.sets, found.state) == (
        expected.partitions[0].hashes,
        expected.partitions[0].sets,
        expected.partitions[0].state,
    )


async def test_bytes_that_were_skipped_are_passed_over_and_what_nobody_may_skip_is_not(kafka: Broker) -> None:
    settings, frames = await settings_for(kafka), frames_of(6)
    log = [frames[0], b"no frame", frames[1], b"nor this", b"", frames[2]]
    produce(kafka.bootstrap, settings.topics.frames, map(Record, [*log, newer_frame(settings)]))
    async with folding(settings) as (fold, memory, applied):
        await fold.fold_to(FrameOffset(5))
        assert sum(applied) == fold.reached.applied_offset + 1 == 6
        with pytest.raises(Refused, match=r"reads up to \d+: install Tidemark 9\.9\.0"):
            await fold.fold_to(FrameOffset(6))
    expected = await begun(1, EPOCH)
    await fold_logs(expected, [frames[:3]])
    found = memory.partitions[0]
    assert (found.hashes, found.sets) == (expected.partitions[0].hashes, expected.partitions[0].sets)


async def test_a_frame_that_cannot_be_folded_is_named_and_nothing_behind_it_is_folded(kafka: Broker) -> None:
    settings, frames = await settings_for(kafka), frames_of(4)
    produce(kafka.bootstrap, settings.topics.frames, map(Record, [*frames, poison_frame(settings), frames[0]]))
    async with folding(settings) as (fold, _, _):
        with pytest.raises(Refused, match="cannot be folded by this release"):
            await fold.fold_to(FrameOffset(3))
        assert fold.reached.applied_offset < 2


async def test_a_log_that_begins_behind_the_next_frame_is_a_gap(kafka: Broker) -> None:
    settings, frames = await settings_for(kafka), frames_of(8)
    produce(kafka.bootstrap, settings.topics.frames, map(Record, frames))
    async with folding(settings, first=1) as (fold, _, _):
        await fold.fold_to(FrameOffset(1))
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    for deleted in admin.delete_records([TopicPartition(settings.topics.frames, 0, 3)]).values():
        deleted.result(30)
    async with folding(settings, first=1) as (fold, _, _):
        with pytest.raises(GapInLog, match="no frame at offset 1, but one at 3"):
            await fold.fold_to(FrameOffset(3))
