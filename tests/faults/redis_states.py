"""What the rows about Redis ask of a deployment, and do to its log of frames."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from itertools import count
from typing import Any

from aiokafka import TopicPartition
from aiokafka.admin import RecordsToDelete
from redis import Redis

from services.clock import now_ms
from services.kafka import make_admin
from services.topics import end_offsets
from tests.faults.load import Planned, planned_stream
from tests.faults.publisher import Publisher
from tests.support.deployment import PARTITIONS, Deployment
from tests.support.groups import AGGREGATOR_GROUP
from tests.support.pipeline import await_condition
from tests.support.redis_server import RedisServer
from tests.support.worker import Worker

LOAD = 40_000
RATE = 800
"""Events of one load, and events a second: another one follows. What is published at a row's end is its truth."""

WAITED_SECONDS = 60
"""For what takes some seconds, the start of a worker that ended among them: a slow machine takes several times that."""

REFUSED = 3
"""Exit code of a role that must not go on."""

LOST_WRITES = "it lost writes"
"""What a worker says last that found Redis behind."""


def lasting_load(deployment: Deployment, seed: int, rate: float = RATE, *, events: int = LOAD) -> Publisher:
    """Publishes for as long as its context lasts, however long a slow machine takes for what is in it.

    Args:
        events: of one load, whose `time` goes from a week ago to now; then comes the next one.
    """
    return Publisher(deployment.settings, _endless_load(seed, events), rate=rate)


def _endless_load(seed: int, events: int) -> Iterator[Planned]:
    end_ms = now_ms()
    for again in count():
        yield from planned_stream(seed + again * LOAD, events, 4, end_ms=end_ms)


def client(server: RedisServer) -> Redis:
    """A client of the server itself, past any proxy."""
    return Redis(port=server.port, socket_timeout=10)


def await_progress(deployment: Deployment, applied: Sequence[int], frames: int = 1) -> list[int]:
    """Wait until every partition is so many frames beyond `applied`, and return the applied offsets."""
    found: list[int] = []

    def is_beyond() -> bool:
        found[:] = deployment.applied()
        return all(now >= before + frames for now, before in zip(found, applied, strict=True))

    await_condition(is_beyond, f"frames beyond {list(applied)} are applied", seconds=WAITED_SECONDS)
    return found


def await_all_frames(deployment: Deployment) -> list[int]:
    """Wait until all frames are applied, the last ones without events too, and return the applied offsets.

    Ingest must not run. Who caught up with the events may have frames without any before it.
    """
    last = [end - 1 for end in ends_of_frames(deployment)]
    await_condition(lambda: deployment.applied() == last, f"frames up to {last} are applied", seconds=WAITED_SECONDS)
    return last


def await_waits_for(worker: Worker, reason: str, seconds: float = WAITED_SECONDS) -> None:
    """Wait until the worker says that it waits for Redis, and why."""
    await_condition(lambda: reason in worker.waits_for(), f"{worker.name} waits: {reason}", seconds=seconds, every=0.02)


def acknowledged(worker: Worker) -> dict[int, int]:
    """Return partition -> applied offset that the store acknowledged to the worker."""
    offsets = {at: worker.metric("tidemark_applied_offset", partition=str(at)) for at in range(PARTITIONS)}
    return {at: int(offset) for at, offset in offsets.items() if offset is not None}


def ends_of_frames(deployment: Deployment) -> list[int]:
    """Return each partition's end offset (of the next frame)."""
    ends = asyncio.run(end_offsets(deployment.settings, deployment.settings.topics.frames))
    assert ends is not None
    return [ends[partition] for partition in range(PARTITIONS)]


def await_waiting_frames(deployment: Deployment, applied: Sequence[int], frames: int) -> None:
    """Wait until so many frames of each partition are in the log beyond those applied."""

    def wait() -> bool:
        ends = ends_of_frames(deployment)
        return all(end - 1 - at >= frames for end, at in zip(ends, applied, strict=True))

    await_condition(wait, f"{frames} frames beyond {list(applied)} wait", seconds=30, every=0.2)


def delete_frames_before(deployment: Deployment, offsets: Sequence[int]) -> None:
    """Cut off the start of the frames' log, as retention does."""

    async def delete() -> None:
        admin = make_admin(deployment.settings.kafka)
        await admin.start()
        topic = deployment.settings.topics.frames
        cuts = {TopicPartition(topic, at): RecordsToDelete(before_offset=offset) for at, offset in enumerate(offsets)}
        try:
            await admin.delete_records(cuts)
        finally:
            await admin.close()

    asyncio.run(delete())


def committed(deployment: Deployment) -> list[int]:
    """Return the aggregators' committed offset of each partition, -1 where there is none."""

    async def read() -> list[int]:
        admin = make_admin(deployment.settings.kafka)
        await admin.start()
        try:
            found = await admin.list_consumer_group_offsets(AGGREGATOR_GROUP)
        finally:
            await admin.close()
        topic = deployment.settings.topics.frames
        offsets = {at.partition: held.offset for at, held in found.items() if at.topic == topic}
        return [offsets.get(partition, -1) for partition in range(PARTITIONS)]

    return asyncio.run(read())


def logged(worker: Worker, event: str) -> list[dict[str, Any]]:
    """Return a worker's log lines of one event."""
    whole, _, _ = worker.written().rpartition("\n")  # a line may be half-written now
    lines = (json.loads(line) for line in whole.splitlines() if line.startswith("{"))
    return [line for line in lines if line.get("event") == event]
