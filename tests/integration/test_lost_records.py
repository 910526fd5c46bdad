"""Retention that overtakes ingest takes records: it is said, with how many, and the rest is read."""

import asyncio
import json
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import RecordsToDelete

from services.kafka import make_admin
from services.settings import Settings
from services.settings_loading import environment, load_settings
from services.topics import create_missing, end_offsets
from tests.support.pipeline import await_condition, clean_environment
from tests.support.records import Record, produce
from tests.support.servers import Broker

pytestmark = [pytest.mark.integration, pytest.mark.guarantee]


@contextmanager
def ingest_running(settings: Settings, log: Path) -> Iterator[None]:
    with log.open("a") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "ingest"], env=clean_environment(environment(settings)), stderr=file
        )
        try:
            yield
        finally:
            process.terminate()
            assert process.wait(30) == 0, log.read_text()


async def delete_before(settings: Settings, offset: int) -> None:
    admin = make_admin(settings.kafka)
    await admin.start()
    try:
        await admin.delete_records({TopicPartition(settings.topics.events, 0): RecordsToDelete(before_offset=offset)})
    finally:
        await admin.close()


def logged(log: Path, event: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    return [line for line in lines if line["event"] == event]


@pytest.mark.timeout(120)
def test_records_that_retention_took_are_counted_as_lost_and_the_rest_is_read(kafka: Broker, tmp_path: Path) -> None:
    prefix = f"lost-{uuid.uuid4().hex[:8]}"
    names = {name: f"{prefix}.{name}" for name in ("events", "directory", "frames", "dead_letters")}
    topics = {**names, "events_partitions": 1, "frames_partitions": 2}
    settings = load_settings({"kafka": {"bootstrap_servers": kafka.bootstrap}, "topics": topics})
    asyncio.run(create_missing(settings))
    log = tmp_path / "ingest.log"
    events, letters = settings.topics.events, settings.topics.dead_letters

    def kept() -> int:
        return sum((asyncio.run(end_offsets(settings, letters)) or {}).values())

    produce(kafka.bootstrap, events, [Record(b"rubbish")] * 4)
    with ingest_running(settings, log):
        await_condition(lambda: kept() == 4, "four dead letters", seconds=40, every=0.5)
    produce(kafka.bootstrap, events, [Record(b"rubbish")] * 10)
    asyncio.run(delete_before(settings, 4 + 7))
    with ingest_running(settings, log):
        await_condition(lambda: kept() == 7, "three more dead letters", seconds=40, every=0.5)
    [said] = logged(log, "records_lost_to_retention")
    assert (said["topic"], said["partition"], said["records"], said["from_offset"]) == (events, 0, 7, 4)
