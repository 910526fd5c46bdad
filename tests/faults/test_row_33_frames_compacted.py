"""Row 33: compaction on the frames is refused at start and by the broker; a hole in the log stops the counting."""

import asyncio
from collections.abc import Callable

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from services.settings import Settings
from tests.faults.load import seeded_load
from tests.faults.publisher import Publisher
from tests.faults.refusals import assert_refused, assert_refuses_to_start
from tests.faults.verdict import assert_right
from tests.support.deployment import Deployment
from tests.support.kafka_admin import set_policy

pytestmark = [pytest.mark.faults, pytest.mark.guarantee]

EVENTS = 2_000
HOLED = 0
"""Partition of the frames."""


def test_a_compacted_frames_topic_is_refused_and_nothing_is_lost(deploy: Callable[..., Deployment]) -> None:
    deployment = deploy()
    settings = deployment.settings
    frames = settings.topics.frames
    ingest = deployment.worker("ingest", restarts=False)
    ingest.start()
    ingest.await_ready()
    deployment.start("aggregator")
    with Publisher(settings, seeded_load(33, EVENTS, 4), rate=1_000) as publisher:
        publisher.await_count(EVENTS // 4)
        set_policy(settings, frames, "compact")
        assert_refused(ingest.await_exit(), f"of {frames}")
        for role in ("ingest", "aggregator"):
            assert_refuses_to_start(
                deployment.worker(role, restarts=False),
                f"topic {frames} has cleanup.policy compact, but delete is wanted",
            )
        set_policy(settings, frames, "delete")
        deployment.start("ingest")
        published = publisher.wait()
    assert_right(deployment, published)


def test_a_hole_in_the_log_of_frames_stops_the_aggregator(deploy: Callable[..., Deployment]) -> None:
    deployment = deploy()
    ingest, aggregator = deployment.start("ingest", "aggregator")
    with Publisher(deployment.settings, seeded_load(34, EVENTS, 4)) as publisher:
        published = publisher.wait()
    assert_right(deployment, published)
    assert ingest.stop() == 0
    counted = list(deployment.export())
    hole = asyncio.run(frame_again_in_a_transaction(deployment.settings)) + 1
    deployment.start("ingest")
    said = ("gap_in_log", f"partition {HOLED} ", f"no frame at offset {hole}", "tidemark rebuild")
    assert_refused(aggregator.await_exit(), *said)
    assert_refused(aggregator.await_exit(2), *said)
    assert deployment.applied()[HOLED] == hole - 1
    assert list(deployment.export()) == counted


async def frame_again_in_a_transaction(settings: Settings) -> int:
    """Write a partition's first frame once more; the transaction's marker takes the offset after the one returned."""
    at, kafka = TopicPartition(settings.topics.frames, HOLED), settings.kafka.bootstrap_servers
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka, enable_auto_commit=False)
    producer = AIOKafkaProducer(bootstrap_servers=kafka, transactional_id=settings.topics.frames)
    async with consumer, producer:
        consumer.assign([at])
        await consumer.seek_to_beginning(at)
        first = await consumer.getone(at)
        async with producer.transaction():
            written = await producer.send_and_wait(at.topic, first.value, partition=HOLED)
    return int(written.offset)
