"""A record as large as the broker takes: counted or kept whole, and the worker goes on."""

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from tests.support.largest_record import LIMIT, fill_the_limit
from tests.support.pipeline import running_pipeline
from tests.support.records import Record, produce, read_to_end
from tests.support.servers import Broker

pytestmark = [pytest.mark.e2e, pytest.mark.guarantee]


def good_event(**changes: Any) -> bytes:
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    event = {"specversion": "1.0", "id": "1", "source": "s", "type": "usage.chat", "time": now, "subject": "ann"}
    return json.dumps(event | {"organizationid": "acme", "data": {"interactions": 1}} | changes).encode()


@pytest.mark.timeout(120)
def test_records_of_exactly_the_brokers_limit_are_kept_whole_and_the_worker_goes_on(
    tmp_path: Path, kafka: Broker, redis_url: str
) -> None:
    with running_pipeline(tmp_path, kafka.bootstrap, redis_url) as pipeline:
        topic = pipeline.topics["events"]
        good, _ = asyncio.run(fill_the_limit(kafka.bootstrap, topic, good_event(), []))
        bad, _ = asyncio.run(fill_the_limit(kafka.bootstrap, topic, b"rubbish", [("from", b"a test")]))
        [ingest] = pipeline.pids("ingest")
        produce(kafka.bootstrap, topic, [Record(good_event(id="2"))])
        pipeline.catch_up()
        letters = read_to_end(kafka.bootstrap, pipeline.topics["dead_letters"])
        assert {letter.value for letter in letters} == {good, bad}
        assert {letter.header("tidemark-reason") for letter in letters} == {"too_large"}
        assert [letter.header("from") for letter in letters if letter.value == bad] == ["a test"]
        assert pipeline.applied() == 3
        assert [row["metrics"]["chat"]["interactions"] for row in pipeline.export()] == [1, 1, 1, 1]
        assert pipeline.pids("ingest") == [ingest]


@pytest.mark.timeout(120)
def test_a_good_event_of_exactly_the_brokers_limit_is_counted_where_that_is_allowed(
    tmp_path: Path, kafka: Broker, redis_url: str
) -> None:
    with running_pipeline(tmp_path, kafka.bootstrap, redis_url, events__max_bytes=str(LIMIT)) as pipeline:
        asyncio.run(fill_the_limit(kafka.bootstrap, pipeline.topics["events"], good_event(), []))
        pipeline.catch_up()
        assert len(list(pipeline.export())) == 4


def produce_compressed(bootstrap: str, topic: str, value: bytes) -> None:
    producer = Producer({"bootstrap.servers": bootstrap, "compression.type": "gzip", "message.max.bytes": 64 * LIMIT})
    producer.produce(topic, value)
    assert producer.flush(30) == 0


@pytest.mark.timeout(120)
def test_a_record_larger_than_the_limit_that_came_compressed_is_kept_whole_and_the_worker_goes_on(
    tmp_path: Path, kafka: Broker, redis_url: str
) -> None:
    large = b"rubbish " * LIMIT
    with running_pipeline(tmp_path, kafka.bootstrap, redis_url) as pipeline:
        topic = pipeline.topics["events"]
        [ingest] = pipeline.pids("ingest")
        produce_compressed(kafka.bootstrap, topic, large)
        produce(kafka.bootstrap, topic, [Record(good_event())])
        pipeline.catch_up()
        [letter] = read_to_end(kafka.bootstrap, pipeline.topics["dead_letters"])
        assert letter.value == large
        assert letter.header("tidemark-reason") == "too_large"
        assert pipeline.applied() == 2
        assert pipeline.pids("ingest") == [ingest]
