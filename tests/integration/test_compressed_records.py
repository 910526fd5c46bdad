"""Product services compress as they like: what they send is read, whatever the codec."""

import asyncio
import uuid

import pytest
from aiokafka.admin import NewTopic
from confluent_kafka import Producer

from services.kafka import make_admin, make_consumer
from services.settings import KafkaSettings
from tests.support.servers import Broker

pytestmark = [pytest.mark.integration, pytest.mark.guarantee]

RECORDS = 200


@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
async def test_records_of_every_codec_are_read(kafka: Broker, codec: str) -> None:
    settings = KafkaSettings(bootstrap_servers=kafka.bootstrap)
    topic = f"{uuid.uuid4().hex[:8]}.{codec}"
    admin = make_admin(settings)
    await admin.start()
    await admin.create_topics([NewTopic(topic, 1, 1)])
    await admin.close()
    await asyncio.to_thread(produce, kafka.bootstrap, topic, codec)
    consumer = make_consumer(settings, topic)
    await consumer.start()
    try:
        values = [(await asyncio.wait_for(consumer.getone(), 20)).value for _ in range(RECORDS)]
    finally:
        await consumer.stop()
    assert values == [value_of(number) for number in range(RECORDS)]


def produce(bootstrap: str, topic: str, codec: str) -> None:
    producer = Producer({"bootstrap.servers": bootstrap, "compression.type": codec, "linger.ms": 50})
    for number in range(RECORDS):
        producer.produce(topic, value_of(number))
    assert producer.flush(20) == 0


def value_of(number: int) -> bytes:
    return b"a usage event, more or less, of number %d" % number
