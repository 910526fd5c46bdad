"""Records put on a topic and read back by another client than the product's."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, Producer, TopicPartition

SECONDS = 30

Headers = list[tuple[str, str | bytes | None]]


@dataclass(frozen=True, slots=True)
class Record:
    """A record's value and what goes with it; without a timestamp the client's clock stands in."""

    value: bytes | None
    key: bytes | None = None
    headers: Headers = field(default_factory=list)
    timestamp_ms: int | None = None

    def header(self, name: str) -> str | None:
        value = next((value for each, value in self.headers if each == name), None)
        return value.decode() if isinstance(value, bytes) else value


def produce(bootstrap: str, topic: str, records: Iterable[Record]) -> None:
    """Produce and return when all are acknowledged."""
    failures: list[str] = []

    def note(error: KafkaError | None, _: object) -> None:
        if error is not None:
            failures.append(str(error))

    producer = Producer({"bootstrap.servers": bootstrap, "log_level": 0})
    for record in records:
        given: dict[str, Any] = {
            "value": record.value,
            "key": record.key,
            "headers": record.headers,
            # Absent is the client's now; it takes no None here, and 0 would be 1970.
            **({} if record.timestamp_ms is None else {"timestamp": record.timestamp_ms}),
        }
        producer.produce(topic, on_delivery=note, **given)
        producer.poll(0)
    assert producer.flush(SECONDS) == 0
    assert not failures, failures[:3]


def read_to_end(bootstrap: str, topic: str) -> list[Record]:
    """Return every record of a topic, partition after partition."""
    with _consuming(bootstrap) as consumer:
        partitions = consumer.list_topics(topic, timeout=SECONDS).topics[topic].partitions
        return [record for partition in partitions for record in _read(consumer, topic, partition)]


def read_partition(bootstrap: str, topic: str, partition: int) -> list[Record]:
    """Return every record of one partition, from the beginning of its log."""
    with _consuming(bootstrap) as consumer:
        return list(_read(consumer, topic, partition))


@contextmanager
def _consuming(bootstrap: str) -> Iterator[Consumer]:
    consumer = Consumer(
        {"bootstrap.servers": bootstrap, "group.id": "tests", "enable.auto.commit": False, "log_level": 0}
    )
    try:
        yield consumer
    finally:
        consumer.close()


def _read(consumer: Consumer, topic: str, partition: int) -> Iterator[Record]:
    low, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=SECONDS)
    consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING)])
    for _ in range(low, high):
        found = consumer.poll(SECONDS)
        assert found is not None, f"partition {partition} ended early"
        assert found.error() is None, found.error()
        yield Record(found.value(), found.key(), _pairs(found.headers()))


def _pairs(headers: Headers | dict[str, str | bytes | None] | None) -> Headers:
    return list(headers.items()) if isinstance(headers, dict) else list(headers or [])
