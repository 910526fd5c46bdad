import asyncio
import json
import os
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiokafka.admin import NewTopic

from services.events import ChatData, ChatEvent
from services.kafka import KafkaRefused, KafkaUnavailable, make_admin, make_consumer
from services.publishing import ContractViolation, UsagePublisher
from services.settings import KafkaSettings
from tests.support.kafka_server import KafkaServer
from tests.support.servers import Broker

pytestmark = [pytest.mark.integration, pytest.mark.guarantee]

ROOT = Path(__file__).parents[2]
PARTITIONS = 4


@pytest.fixture
def settings(kafka: Broker) -> KafkaSettings:
    return KafkaSettings(bootstrap_servers=kafka.bootstrap)


@pytest.fixture
async def topic(settings: KafkaSettings) -> AsyncIterator[str]:
    name = f"publishing-{uuid.uuid4().hex[:8]}"
    admin = make_admin(settings)
    await admin.start()
    await admin.create_topics([NewTopic(name, PARTITIONS, 1)])
    yield name
    await admin.delete_topics([name])
    await admin.close()


async def read(settings: KafkaSettings, topic: str, count: int) -> list[Any]:
    """Return the topic's records in the order of partition and offset, once there are `count`."""
    consumer = make_consumer(settings, topic)
    await consumer.start()
    found: list[Any] = []
    try:
        async with asyncio.timeout(30):
            while len(found) < count:
                for records in (await consumer.getmany(timeout_ms=200)).values():
                    found += records
    finally:
        await consumer.stop()
    return sorted(found, key=lambda record: (record.partition, record.offset))


def chat(number: int, organization: str = "acme") -> ChatEvent:
    return ChatEvent(
        specversion="1.0",
        id=f"e-{number}",
        source="s",
        time=datetime(2026, 8, 22, tzinfo=UTC),
        subject="u",
        organizationid=organization,
        data=ChatData(messages=number),
    )


async def test_an_event_is_in_the_topic_when_publish_returns(settings: KafkaSettings, topic: str) -> None:
    async with UsagePublisher(settings, topic) as publisher:
        await publisher.publish(chat(1))
        assert publisher.acknowledged == 1
        [record] = await read(settings, topic, 1)
    assert record.key == b"acme"
    assert json.loads(record.value)["data"] == {"messages": 1}


async def test_an_event_that_breaks_the_contract_is_not_sent(settings: KafkaSettings, topic: str) -> None:
    async with UsagePublisher(settings, topic) as publisher:
        with pytest.raises(ContractViolation, match="organizationid"):
            await publisher.publish(chat(1, organization="a/b"))
        await publisher.publish(chat(2))
    assert len(await read(settings, topic, 1)) == 1


async def test_events_published_at_the_same_time_are_all_there_once(settings: KafkaSettings, topic: str) -> None:
    async with UsagePublisher(settings, topic) as publisher:
        await asyncio.gather(*(publisher.publish(chat(number, f"o{number % 7}")) for number in range(500)))
        assert publisher.acknowledged == 500
    ids = [json.loads(record.value)["id"] for record in await read(settings, topic, 500)]
    assert sorted(ids) == sorted(f"e-{number}" for number in range(500))


async def test_raw_records_keep_their_bytes_and_the_order_of_their_key(settings: KafkaSettings, topic: str) -> None:
    sent = [(f"k{number % 5}".encode(), f"{number}:".encode() + b"\xff" * (number % 90)) for number in range(30_000)]
    async with UsagePublisher(settings, topic) as publisher:
        for at, (key, value) in enumerate(sent):
            await publisher.publish_raw(value, key)
            if at % 1_000 == 0:
                await publisher.push()
        await publisher.flush()
        assert publisher.acknowledged == len(sent)
    found = await read(settings, topic, len(sent))
    for key in {key for key, _ in sent}:
        assert [record.value for record in found if record.key == key] == [value for k, value in sent if k == key]


async def test_what_is_pushed_arrives_without_a_flush(settings: KafkaSettings, topic: str) -> None:
    async with UsagePublisher(settings, topic) as publisher:
        for number in range(20):
            await publisher.publish_raw(str(number).encode(), b"k")
            await publisher.push()
        found = await read(settings, topic, 20)
    assert [record.value for record in found] == [str(number).encode() for number in range(20)]


async def test_records_without_a_key_spread_over_the_partitions(settings: KafkaSettings, topic: str) -> None:
    async with UsagePublisher(settings, topic) as publisher:
        for number in range(8):
            await publisher.publish_raw(str(number).encode(), None)
    found = await read(settings, topic, 8)
    assert [record.partition for record in found] == [0, 0, 1, 1, 2, 2, 3, 3]


async def test_a_record_that_the_topic_does_not_take_ends_the_publisher(settings: KafkaSettings, topic: str) -> None:
    async with AsyncExitStack() as stack:
        publisher = await stack.enter_async_context(UsagePublisher(settings, topic))
        await publisher.publish_raw(b"x" * 2_000_000, b"k")
        with pytest.raises(KafkaRefused, match="MessageSizeTooLarge"):
            await publisher.flush()
        with pytest.raises(KafkaRefused, match="MessageSizeTooLarge"):
            await publisher.publish_raw(b"{}", b"k")
        with pytest.raises(KafkaRefused, match="MessageSizeTooLarge"):
            await stack.aclose()


async def test_a_missing_topic_is_named(settings: KafkaSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.publishing.TOPIC_WAIT_S", 0.5)
    with pytest.raises(KafkaRefused, match="no topic no-such-topic"):
        async with UsagePublisher(settings, "no-such-topic"):
            pass


async def test_a_broker_that_comes_back_gets_everything_once_and_in_order() -> None:
    with KafkaServer.start_new() as server:
        settings = KafkaSettings(bootstrap_servers=server.bootstrap, request_timeout=60)
        admin = make_admin(settings)
        await admin.start()
        await admin.create_topics([NewTopic("t", 1, 1)])
        await admin.close()
        async with UsagePublisher(settings, "t") as publisher:
            for number in range(2_000):
                await publisher.publish_raw(b"%d" % number, b"k")
                if number % 100 == 0:
                    await publisher.push()
                if number == 1_000:
                    await asyncio.to_thread(server.kill)
            assert publisher.acknowledged < 2_000
            await asyncio.to_thread(server.start)
            await publisher.flush()
        found = await read(settings, "t", 2_000)
    assert [record.value for record in found] == [b"%d" % number for number in range(2_000)]


async def test_a_broker_that_stays_away_is_an_error_and_not_a_success() -> None:
    with KafkaServer.start_new() as server:
        settings = KafkaSettings(bootstrap_servers=server.bootstrap, request_timeout=2)
        # A broker's first answers take long; this is about those that never come.
        admin = make_admin(KafkaSettings(bootstrap_servers=server.bootstrap))
        await admin.start()
        await admin.create_topics([NewTopic("t", 1, 1)])
        await admin.close()
        async with AsyncExitStack() as stack:
            publisher = await stack.enter_async_context(UsagePublisher(settings, "t", delivery_timeout_s=10))
            await publisher.publish_raw(b"1", b"k")
            await publisher.flush()
            await asyncio.to_thread(server.kill)
            await publisher.publish_raw(b"2", b"k")
            with pytest.raises(KafkaUnavailable, match="not acknowledged within 10 s"):
                await stack.aclose()
        assert publisher.acknowledged == 1


async def published_by_command(settings: KafkaSettings, topic: str, file: Path, *options: str) -> dict[str, Any]:
    """Return what `tidemark publish` says of a file."""
    environment = os.environ | {"TIDEMARK_KAFKA__BOOTSTRAP_SERVERS": settings.bootstrap_servers}
    command = [sys.executable, "-m", "services.cli.main", "publish", str(file), "--topic", topic, "--json", *options]
    done = await asyncio.to_thread(
        subprocess.run, command, env=environment, cwd=ROOT, capture_output=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


async def test_the_command_publishes_lines_as_they_are(settings: KafkaSettings, topic: str, tmp_path: Path) -> None:
    lines = [b'{"organizationid" : "acme"}', b'{"organizationid":"acme"}\r', b"\xff not JSON", b'{"organizationid":5}']
    file = tmp_path / "events"
    file.write_bytes(b"\n\n".join(lines))
    answer = await published_by_command(settings, topic, file)
    assert (answer["published"], answer["blankLines"]) == (4, 3)
    found = await read(settings, topic, 4)
    assert sorted((record.key or b"", record.value) for record in found) == sorted(
        zip([b"acme", b"acme", b"", b""], lines, strict=True)
    )


async def test_the_command_publishes_no_faster_than_it_is_told(
    settings: KafkaSettings, topic: str, tmp_path: Path
) -> None:
    lines = [b'{"organizationid":"acme","id":"%d"}' % number for number in range(31)]
    file = tmp_path / "events"
    file.write_bytes(b"\n".join(lines))
    answer = await published_by_command(settings, topic, file, "--rate", "20")
    # The first is due at once, the last after 30 twentieths of a second.
    assert answer["seconds"] >= 1.5
    assert [record.value for record in await read(settings, topic, len(lines))] == lines
