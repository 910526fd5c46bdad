"""The ingest worker: reads events, keeps the bad ones as dead letters, sends the good ones on as frames.

One poll after the other: its dead letters are acknowledged, then its frames, then its offsets are committed; the next
poll is read and packed meanwhile. Each partition's frames are sent one by one. Whatever is not acknowledged ends the
worker with nothing committed after it: the records are read again, and the dedup index knows those that got through.
"""

import asyncio
import secrets
from collections.abc import Mapping

import numpy as np
import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError

from ingest.admission import Admission
from ingest.answers import Answers
from ingest.directory_admission import DirectoryAdmission
from ingest.packing import Packer, PackingLimits, home_of
from ingest.poll import Collector, Poll, Source
from ingest.sending import Packed, Sender
from ingest.traces import carried_by_partition
from ingest.verdicts import AdmissionRules
from services.clock import monotonic_s, now_ms
from services.crash_points import CrashPoints
from services.frames import Column
from services.health import HealthServer
from services.identifiers import PartitionId
from services.identity import fingerprint, identity_hasher
from services.kafka import KafkaRefused, KafkaUnavailable, translated
from services.kafka_connection import why_deaf
from services.settings import Settings
from services.stuck import Work
from services.telemetry import Telemetry


class IngestWorker:
    """One member of the ingest group.

    Args:
        consumer: subscribed to the topics of events and of the directory in the ingest group, started.
        producer: started.
    """

    def __init__(
        self,
        settings: Settings,
        consumer: AIOKafkaConsumer,
        producer: AIOKafkaProducer,
        telemetry: Telemetry,
        health: HealthServer,
    ) -> None:
        self._ingest = settings.ingest
        self._topics = settings.topics
        self._consumer = consumer
        self._producer = producer
        self._crash_points = CrashPoints(settings.testing.crash_point)
        self._sender = Sender(settings, producer, telemetry, self._crash_points)
        self._telemetry = telemetry
        self._health = health
        self._log = structlog.get_logger()
        events, secret = settings.events, settings.events.identity_secret.get_secret_value()
        rules = AdmissionRules.of(events)
        self._collector = Collector(
            Admission(rules), DirectoryAdmission(rules), identity_hasher(secret), self._topics.frames_partitions
        )
        self._packer = Packer(
            PackingLimits(
                partitions=self._topics.frames_partitions,
                events=self._ingest.max_frame_events,
                bytes=self._ingest.max_frame_bytes,
            ),
            fingerprint(secret),
            lambda: secrets.randbits(64),
        )
        self._answers: Answers[TopicPartition] = Answers(round(self._ingest.clock_skew * 1000))
        self._read_up_to: dict[TopicPartition, int] = {}
        self._begun: dict[TopicPartition, int] = {}
        self._sent_at_s = dict.fromkeys(map(PartitionId, range(self._topics.frames_partitions)), 0.0)
        self._committed: dict[TopicPartition, int] = {}
        self._polls = 0

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set; returns when all that was read is acknowledged and committed.

        Raises:
            KafkaRefused, KafkaUnavailable: something was not acknowledged.
        """
        with self._health.working(self.works):
            await self._run(stop)

    def works(self) -> Mapping[str, Work]:
        """Return how the work stands: each poll is to be read, sent and committed, be it empty."""
        return {"a poll": Work(waits=True, mark=self._polls)}

    async def _run(self, stop: asyncio.Event) -> None:
        sending: asyncio.Task[None] | None = None
        try:
            while not stop.is_set():
                self._polls += 1
                began = monotonic_s()
                packed = await self._read()
                if sending is not None:
                    await sending
                sending = asyncio.create_task(self._send(packed))
                if packed.events + len(packed.letters) < self._ingest.max_poll_records // 4:
                    pause = self._ingest.linger - (monotonic_s() - began)
                    if pause > 0:
                        await _until(stop, pause)
            if sending is not None:
                await sending
                sending = None
        finally:
            if sending is not None:
                sending.cancel()
                await asyncio.gather(sending, return_exceptions=True)

    async def _read(self) -> Packed:
        for client in (self._consumer._client, self._producer.client):
            if (cause := why_deaf(client)) is not None:
                raise KafkaUnavailable(f"the Kafka client no longer follows the cluster: {cause!r}") from cause
        with translated("reading events"):
            records = await self._consumer.getmany(
                timeout_ms=round(self._ingest.heartbeat_interval * 1000 / 2),
                max_records=self._ingest.max_poll_records,
            )
            if records:
                self._crash_points.visit("ingest.after_poll")
            assigned = sorted(self._consumer.assignment(), key=lambda tp: (tp.topic, tp.partition))
            ends: dict[TopicPartition, int] = {}
            for tp in assigned:
                # The position may be beyond the records already: taken back to the log's start, past what is lost.
                batch = records.get(tp)
                ends[tp] = batch[-1].offset + 1 if batch else await self._position(tp)
                await self._report_lost(tp, batch[0].offset if batch else ends[tp])
        # A source that leaves and comes back begins where its next owner committed.
        self._begun = {tp: at for tp, at in self._begun.items() if tp in ends}
        gathering = self._collector.begin()
        sources: list[Source] = []
        for tp in assigned:
            collect = gathering.collect_directory if tp.topic == self._topics.directory else gathering.collect
            offsets, times = collect(len(sources), records.get(tp, []))
            sources.append(self._source(tp, offsets, times, ends[tp]))
        packed = self._pack(self._collector.poll(gathering, sources), {tp: ends[tp] for tp in assigned})
        if records:
            self._crash_points.visit("ingest.after_validate")
        return packed

    async def _position(self, tp: TopicPartition) -> int:
        try:
            return int(await self._consumer.position(tp))
        except IllegalStateError:  # revoked since the poll; nothing of it is in this one
            return self._begun.get(tp, 0)

    async def _report_lost(self, tp: TopicPartition, first_offset: int) -> None:
        """Say so, and how many, when retention took records before they were read.

        Args:
            first_offset: of the first record read, or the position where there is none.
        """
        expected = self._begun.get(tp)
        if expected is None:
            expected = await self._consumer.committed(tp)
        if expected is None or first_offset <= expected:
            return
        begin = (await self._consumer.beginning_offsets([tp]))[tp]
        lost = min(begin, first_offset) - expected
        if lost > 0:
            self._telemetry.count("tidemark_lost_records_total", lost, topic=tp.topic, partition=tp.partition)
            self._log.error(
                "records_lost_to_retention", topic=tp.topic, partition=tp.partition, records=lost, from_offset=expected
            )

    def _source(self, tp: TopicPartition, offsets: Column, times: Column, end: int) -> Source:
        """Return one source partition's share, and move its begin and time on."""
        first = self._begun.get(tp, int(offsets[0]) if len(offsets) else end)
        if len(offsets) and not first <= offsets[0]:
            first = int(offsets[0])  # a rebalance took the position back
        self._begun[tp] = end
        reached = self._caught_up_ms(tp, end)
        if reached is None and len(times):
            reached = int(times[-1])
        if reached is not None:
            self._read_up_to[tp] = max(self._read_up_to.get(tp, reached), reached)
        self._telemetry.set("tidemark_ingest_position", end, topic=tp.topic, partition=tp.partition)
        return Source(
            topic=tp.topic,
            partition=tp.partition,
            first_offset=min(first, end),
            next_offset=end,
            read_up_to_ms=self._read_up_to.get(tp),
            offsets=offsets,
            broker_ms=times,
        )

    def _caught_up_ms(self, tp: TopicPartition, position: int) -> int | None:
        """Return the broker time up to which a source that is read to its end is read; None when it is not.

        Not the clock but the times of the broker's answers count: while it does not answer, there may be more.
        """
        try:
            highwater = self._consumer.highwater(tp)
            answered_ms = self._consumer.last_poll_timestamp(tp)
        except (AssertionError, IllegalStateError):
            return None
        if highwater is None or answered_ms is None:
            return None
        covered_ms = self._answers.covered_ms(tp, int(answered_ms), now_ms())
        return covered_ms if position >= highwater else None

    def _pack(self, poll: Poll, positions: Mapping[TopicPartition, int]) -> Packed:
        now_s = monotonic_s()
        counts = {tp.topic: len(self._consumer.partitions_for_topic(tp.topic) or ()) for tp in positions}
        busy = {
            home_of(source.partition, self._topics.frames_partitions) for source in poll.sources if len(source.offsets)
        }
        of_directory = {PartitionId(partition) for partition in poll.directory_partitions.tolist()}
        frames: dict[PartitionId, list[bytes]] = {}
        order = np.argsort(poll.partitions, kind="stable")
        bounds = np.searchsorted(poll.partitions[order], np.arange(self._topics.frames_partitions + 1)).tolist()
        for partition, sent_at_s in self._sent_at_s.items():
            events = order[bounds[partition] : bounds[partition + 1]]
            due = now_s - sent_at_s >= self._ingest.heartbeat_interval
            holds_events = len(events) > 0 or partition in of_directory
            if positions and (holds_events or partition in busy or due):
                frames[partition] = list(self._packer.frames(poll, partition, events, counts))
                self._sent_at_s[partition] = now_s
                self._telemetry.count(
                    "tidemark_frames_total",
                    len(frames[partition]),
                    result="sent" if holds_events else "heartbeat",
                )
        return Packed(
            letters=poll.letters,
            sources=poll.sources,
            frames=frames,
            traces=carried_by_partition(poll),
            events=len(poll.partitions) + len(poll.directory),
            positions=positions,
        )

    async def _send(self, packed: Packed) -> None:
        """Send a poll, then commit its offsets."""
        with self._health.awaiting("kafka", "Kafka does not acknowledge what is sent"):
            await self._sender.send(packed)
            if packed.events or packed.letters:
                self._crash_points.visit("ingest.before_commit")
            await self._commit(packed.positions)

    async def _commit(self, positions: Mapping[TopicPartition, int]) -> None:
        moved = {tp: at for tp, at in positions.items() if self._committed.get(tp) != at}
        mine = {tp: at for tp, at in moved.items() if tp in self._consumer.assignment()}
        if not mine:
            return
        try:
            with translated("committing source offsets"):
                # The client itself would try again for as long as its coordinator is away.
                async with asyncio.timeout(self._ingest.delivery_timeout):
                    await self._consumer.commit(mine)
        except TimeoutError as error:
            limit_s = self._ingest.delivery_timeout
            raise KafkaUnavailable(f"committing source offsets: not acknowledged for {limit_s:g} s") from error
        except KafkaRefused as error:
            if not isinstance(error.__cause__, CommitFailedError):
                raise
            # A rebalance came between: the next owner reads these records again, and they are known.
            self._log.warning("commit_refused", error=str(error), positions=_named(mine))
        except IllegalStateError as error:
            self._log.warning("commit_refused", error=str(error), positions=_named(mine))
        else:
            self._committed.update(mine)


def _named(positions: Mapping[TopicPartition, int]) -> list[dict[str, str | int]]:
    """Return positions as a log line has them."""
    return [{"topic": tp.topic, "partition": tp.partition, "offset": at} for tp, at in positions.items()]


async def _until(stop: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return
