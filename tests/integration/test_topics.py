"""The four topics on a real broker, and on the embedded one, which cannot say everything."""

import asyncio
import uuid
from collections.abc import Iterator

import pytest
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from services import topics
from services.kafka import KafkaRefused, KafkaUnavailable, make_admin, make_producer
from services.settings import Settings
from services.settings_loading import load_settings
from tests.support.ports import LOOPBACK, free_ports
from tests.support.servers import Broker
from tests.support.tansu_server import TansuServer

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def tansu() -> Iterator[TansuServer]:
    with TansuServer.start_new() as server:
        yield server


def settings_on(bootstrap: str, prefix: str | None = None, **topic_settings: object) -> Settings:
    """Settings with topics of this test's own."""
    prefix = prefix or uuid.uuid4().hex[:8]
    names = {name: f"{prefix}.{name}" for name in ("events", "directory", "frames", "dead_letters")}
    kafka = {"bootstrap_servers": bootstrap, "idempotence": False, "request_timeout": "10s"}
    return load_settings({"kafka": kafka, "topics": names | topic_settings})


@pytest.mark.guarantee
async def test_topics_are_created_once_and_then_do_not_differ(kafka: Broker) -> None:
    settings = settings_on(kafka.bootstrap)
    rows = await topics.check(settings)
    assert {row.key for row in rows} == {"topic"}
    assert len(rows) == 4
    created = await topics.create_missing(settings)
    assert [name.partition(".")[2] for name in created] == ["events", "directory", "frames", "dead_letters"]
    assert await topics.create_missing(settings) == []
    assert await topics.check(settings) == []
    await topics.check_frames(settings)


@pytest.mark.guarantee
async def test_each_difference_is_told(kafka: Broker) -> None:
    settings = settings_on(kafka.bootstrap, "differs" + uuid.uuid4().hex[:8])
    await topics.create_missing(settings)
    prefix = settings.topics.events.partition(".")[0]
    other = settings_on(kafka.bootstrap, prefix, frames_partitions=8, events_retention="400d")
    rows = {(row.topic.partition(".")[2], row.key): row for row in await topics.check(other)}
    assert set(rows) == {("frames", "partitions"), ("events", "retention.ms")}
    with pytest.raises(KafkaRefused, match="has partitions 16, but 8 is wanted"):
        await topics.check_frames(other)


@pytest.mark.guarantee
async def test_compacted_frames_are_refused(kafka: Broker) -> None:
    settings = settings_on(kafka.bootstrap)
    await topics.create_missing(settings)
    await _compact(settings, settings.topics.frames)
    await _until_policy_differs(settings)
    with pytest.raises(KafkaRefused, match=r"has cleanup\.policy compact, but delete is wanted"):
        await topics.check_frames(settings)


async def test_a_missing_frames_topic_is_refused_with_its_remedy(kafka: Broker) -> None:
    with pytest.raises(KafkaRefused, match="is missing: create it with `tidemark topics create`"):
        await topics.check_frames(settings_on(kafka.bootstrap))


@pytest.mark.guarantee
async def test_more_replicas_than_brokers_are_refused_in_the_brokers_words(kafka: Broker) -> None:
    with pytest.raises(KafkaRefused, match=r"would not create .*replication"):
        await topics.create_missing(settings_on(kafka.bootstrap, replication=3))


async def test_the_embedded_broker_is_checked_as_far_as_it_tells(tansu: TansuServer) -> None:
    settings = settings_on(tansu.bootstrap)
    assert len(await topics.create_missing(settings)) == 4
    assert not [row for row in await topics.check(settings) if row.known]
    prefix = settings.topics.frames.partition(".")[0]
    with pytest.raises(KafkaRefused, match="has partitions 16, but 4 is wanted"):
        await topics.check_frames(settings_on(tansu.bootstrap, prefix, frames_partitions=4))


@pytest.mark.parametrize("name", ["kafka", "tansu"])
async def test_the_end_counts_every_record_of_a_batch(name: str, request: pytest.FixtureRequest) -> None:
    bootstrap = request.getfixturevalue(name).bootstrap
    settings = settings_on(bootstrap)
    await topics.create_missing(settings)
    producer = make_producer(settings.kafka, linger_ms=100)
    await producer.start()
    try:
        for _ in range(2):
            sent = [await producer.send(settings.topics.events, b"x", partition=1) for _ in range(300)]
            for each in sent:
                await each
    finally:
        await producer.stop()
    assert await topics.end_offsets(settings, settings.topics.events) == {0: 0, 1: 600, 2: 0, 3: 0}


@pytest.mark.parametrize("name", ["kafka", "tansu"])
async def test_asking_for_a_missing_topic_does_not_create_it(name: str, request: pytest.FixtureRequest) -> None:
    settings = settings_on(request.getfixturevalue(name).bootstrap)
    assert await topics.end_offsets(settings, settings.topics.events) is None
    assert {row.key for row in await topics.check(settings)} == {"topic"}


async def test_a_kafka_that_does_not_answer_ends_the_wait_with_one_sentence() -> None:
    (port,) = free_ports(1)
    with pytest.raises(KafkaUnavailable, match=r"Kafka at 127\.0\.0\.1:\d+ did not answer for 0\.5 s") as caught:
        await topics.check(settings_on(f"{LOOPBACK}:{port}"), within_s=0.5)
    assert "\n" not in str(caught.value)


async def _until_policy_differs(settings: Settings) -> None:
    """Wait until the broker has heard of the change that its controller accepted."""
    async with asyncio.timeout(20):
        while not any(row.key == "cleanup.policy" for row in await topics.check(settings)):  # noqa: ASYNC110 -- a server
            await asyncio.sleep(0.05)


async def _compact(settings: Settings, topic: str) -> None:
    admin = make_admin(settings.kafka)
    await admin.start()
    try:
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, {"cleanup.policy": "compact"})])
    finally:
        await admin.close()
