"""What the worker sends and commits, in which order, and what it leaves undone when an acknowledgement fails."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import MessageSizeTooLargeError

from ingest.worker import IngestWorker
from services.frames import decode_frame
from services.health import HealthServer
from services.kafka import KafkaRefused, KafkaUnavailable
from services.settings import Settings
from services.settings_loading import load_settings
from services.telemetry import Telemetry
from tests.support.log_of_frames import FakeRecord
from tests.unit.ingest.directory_events import TYPES, directory_event
from tests.unit.ingest.good_events import TIME_MS, compact, event

SOURCE = TopicPartition("usage.events", 0)
DIRECTORY = TopicPartition("usage.directory", 0)
Log = list[tuple[str, Any]]
FOLLOWING = SimpleNamespace(_sync_task=None)
"""Of a client that follows the cluster."""


class OnePoll:
    """A consumer with one poll of records of each source; it sets `stop` once that is read."""

    _client = FOLLOWING

    def __init__(self, records: Mapping[TopicPartition, Sequence[FakeRecord]], log: Log, stop: asyncio.Event) -> None:
        self._records = {tp: list(of_source) for tp, of_source in records.items()}
        self._log = log
        self._stop = stop
        self._ends = {tp: len(of_source) for tp, of_source in records.items()}
        self._committed: int | None = None
        self._begin = 0
        self._silent_commits = False

    def silence_commits(self) -> None:
        self._silent_commits = True

    def lose(self, *, committed: int, begin: int) -> None:
        """Be of a log that begins anew behind what was committed, and holds nothing."""
        self._committed, self._begin = committed, begin
        self._ends = dict.fromkeys(self._ends, begin)

    async def getmany(self, timeout_ms: int, max_records: int) -> dict[TopicPartition, list[FakeRecord]]:
        self._stop.set()
        records, self._records = self._records, {}
        return records

    def assignment(self) -> set[TopicPartition]:
        return set(self._ends)

    async def position(self, tp: TopicPartition) -> int:
        return self._ends[tp]

    async def committed(self, tp: TopicPartition) -> int | None:
        return self._committed

    def highwater(self, tp: TopicPartition) -> int:
        return self._ends[tp]

    def last_poll_timestamp(self, tp: TopicPartition) -> int:
        return TIME_MS

    def partitions_for_topic(self, topic: str) -> set[int]:
        return {0}

    async def beginning_offsets(self, tps: list[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(tps, self._begin)

    async def commit(self, offsets: dict[TopicPartition, int]) -> None:
        if self._silent_commits:
            await asyncio.Event().wait()
        self._log.append(("commit", offsets))


class Acknowledging:
    """A producer that acknowledges all but what is sent to `failing`, and notes what it was asked to send."""

    client = FOLLOWING

    def __init__(self, log: Log, failing: str | None = None, silent: str | None = None) -> None:
        self._log = log
        self._failing = failing
        self._silent = silent
        self.sent: dict[str, list[bytes]] = defaultdict(list)
        self.headers: list[Sequence[tuple[str, bytes]]] = []
        """Of each frame sent."""

    async def send_and_wait(self, topic: str, value: bytes, **others: Any) -> None:
        self.sent[topic].append(value)
        if topic == "usage.frames":
            self.headers.append(others["headers"] or ())
        if topic == self._silent:
            await asyncio.Event().wait()
        await asyncio.sleep(0)
        if topic == self._failing:
            raise MessageSizeTooLargeError("too large")
        self._log.append(("acknowledged", topic))


def settings(**ingest: object) -> Settings:
    return load_settings({"topics": {"frames_partitions": 2}, "ingest": {"max_frame_events": 2, **ingest}})


async def work(
    records: Sequence[FakeRecord],
    log: Log,
    producer: Acknowledging,
    with_settings: Settings | None = None,
    directory: Sequence[FakeRecord] | None = None,
    prepare: Callable[[OnePoll], None] = lambda _: None,
) -> Telemetry:
    stop, telemetry = asyncio.Event(), Telemetry("ingest")
    polled = {SOURCE: records} | ({} if directory is None else {DIRECTORY: directory})
    consumer = OnePoll(polled, log, stop)
    prepare(consumer)
    worker = IngestWorker(
        with_settings or settings(),
        cast(AIOKafkaConsumer, consumer),
        cast(AIOKafkaProducer, producer),
        telemetry,
        HealthServer(telemetry),
    )
    await worker.run(stop)
    return telemetry


RECORDS = [
    *(FakeRecord(offset=at, timestamp=TIME_MS, value=compact(event(id=f"e-{at}"))) for at in range(7)),
    FakeRecord(offset=7, timestamp=TIME_MS, value=b"rubbish"),
]


async def test_offsets_are_committed_once_every_dead_letter_and_then_every_frame_is_acknowledged() -> None:
    log: Log = []
    producer = Acknowledging(log)
    await work(RECORDS, log, producer)
    acknowledged = [topic for what, topic in log if what == "acknowledged"]
    assert acknowledged[0] == "usage.dead-letters"
    assert acknowledged.count("usage.frames") >= 4
    assert log[-1] == ("commit", {SOURCE: 8})
    assert [what for what, _ in log].count("commit") == 1
    frames = [decode_frame(value) for value in producer.sent["usage.frames"]]
    assert sum(frame.event_count for frame in frames) == 7


@pytest.mark.parametrize("topic", ["usage.frames", "usage.dead-letters"])
async def test_nothing_is_committed_after_a_failure(topic: str) -> None:
    log: Log = []
    producer = Acknowledging(log, failing=topic)
    with pytest.raises(KafkaRefused, match=f"{topic}.*takes no record of this size.*max.message.bytes"):
        await work(RECORDS, log, producer)
    assert [what for what, _ in log if what == "commit"] == []


async def test_no_frame_follows_one_of_its_partition_that_failed_nor_any_a_dead_letter_that_did() -> None:
    producer = Acknowledging([], failing="usage.frames")
    with pytest.raises(KafkaRefused):
        await work(RECORDS, [], producer)
    assert len(producer.sent["usage.frames"]) <= 2
    producer = Acknowledging([], failing="usage.dead-letters")
    with pytest.raises(KafkaRefused):
        await work(RECORDS, [], producer)
    assert producer.sent["usage.frames"] == []


async def test_a_frame_that_is_never_acknowledged_ends_the_worker_with_what_it_waited_for() -> None:
    log: Log = []
    producer = Acknowledging(log, silent="usage.frames")
    with pytest.raises(KafkaUnavailable, match=r"sending a frame to partition \d of usage.frames: not acknowledged"):
        await work(RECORDS, log, producer, settings(delivery_timeout="1s"))
    assert [what for what, _ in log if what == "commit"] == []


async def test_directory_events_go_into_frames_and_dead_letters_and_are_committed_beside_usage() -> None:
    values = [compact(directory_event(kind)) for kind in TYPES] * 2 + [b"rubbish", compact(event())]
    directory = [FakeRecord(offset=at, timestamp=TIME_MS, value=value) for at, value in enumerate(values)]
    log: Log = []
    producer = Acknowledging(log)
    telemetry = await work(RECORDS, log, producer, directory=directory)
    assert log[-1] == ("commit", {SOURCE: 8, DIRECTORY: 12})
    assert len(producer.sent["usage.dead-letters"]) == 3
    frames = [decode_frame(value) for value in producer.sent["usage.frames"]]
    rows = [row for frame in frames for row in frame.directory]
    assert sorted(row.offset for row in rows) == list(range(10))
    assert {(row.broker_ms, row.source) for row in rows} == {(TIME_MS, 0)}
    assert {frame.header.sources[0].topic for frame in frames} == {"usage.directory"}
    assert sum(frame.event_count for frame in frames) == 7
    assert frames[-1].header.source_partitions == {"usage.directory": 1, "usage.events": 1}
    _, page = telemetry.exposition()
    assert b'tidemark_events_total{result="accepted",role="ingest"} 17.0' in page


async def test_a_frame_with_directory_events_only_is_no_heartbeat() -> None:
    directory = [FakeRecord(offset=0, timestamp=TIME_MS, value=compact(directory_event("directory.organization")))]
    telemetry = await work([], [], Acknowledging([]), directory=directory)
    _, page = telemetry.exposition()
    assert b'tidemark_frames_total{result="sent",role="ingest"} 1.0' in page
    assert b'tidemark_frames_total{result="heartbeat",role="ingest"} 1.0' in page


async def test_a_loss_to_retention_is_counted_although_no_record_came_after_it() -> None:
    log: Log = []
    telemetry = await work([], log, Acknowledging(log), prepare=lambda consumer: consumer.lose(committed=4, begin=14))
    _, page = telemetry.exposition()
    assert b'tidemark_lost_records_total{partition="0",topic="usage.events"} 10.0' in page
    assert log[-1] == ("commit", {SOURCE: 14})


async def test_a_commit_that_is_never_acknowledged_ends_the_worker() -> None:
    log: Log = []
    with pytest.raises(KafkaUnavailable, match="committing source offsets: not acknowledged"):
        await work(RECORDS, log, Acknowledging(log), settings(delivery_timeout="1s"), prepare=OnePoll.silence_commits)


async def test_a_client_that_no_longer_follows_the_cluster_ends_the_worker() -> None:
    async def end() -> None:
        raise RuntimeError("a surprise")

    task = asyncio.create_task(end())
    await asyncio.wait([task])
    log: Log = []
    producer = Acknowledging(log)
    producer.client = SimpleNamespace(_sync_task=task)
    with pytest.raises(KafkaUnavailable, match="no longer follows the cluster: RuntimeError\\('a surprise'\\)"):
        await work([], log, producer)
    assert not log


async def test_a_trace_goes_with_the_last_frame_that_its_event_may_be_in() -> None:
    traceparent = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    first = replace(RECORDS[0], headers=[("traceparent", traceparent)])
    producer = Acknowledging([])
    await work([first, *RECORDS[1:7]], [], producer)
    events = [decode_frame(value).event_count for value in producer.sent["usage.frames"]]
    carrying = [bool(headers) for headers in producer.headers]
    assert [(count, carries) for count, carries in zip(events, carrying, strict=True) if count] == [
        *((2, False) for _ in range(3)),
        (1, True),
    ]
    [(name, value)] = next(headers for headers in producer.headers if headers)
    assert (name, value) == ("tidemark-traces", traceparent + b" usage.events 0 0")
