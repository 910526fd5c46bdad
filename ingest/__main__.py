"""`python -m ingest`: one ingest worker."""

import asyncio
import os
import sys
from typing import Final

import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka.coordinator.assignors.range import RangePartitionAssignor

from ingest.lean_records import read_lean_records
from ingest.worker import IngestWorker
from services.dependencies import ask_kafka
from services.health import HealthServer, keep_beating
from services.kafka import (
    KafkaRefused,
    KafkaUnavailable,
    abandon_producer,
    client_name,
    make_consumer,
    make_producer,
    translated,
)
from services.kafka_header_names import accept_any_header_name
from services.lifecycle import Exit, Refused, run, stop_on_signals
from services.settings import Settings
from services.settings_loading import WrongSettings, load_settings
from services.telemetry import Telemetry, configure_logs
from services.topics import check_frames
from services.watchdog import under_watch

FETCH_MIN_BYTES: Final = 2 * 1024 * 1024
"""Some thousands of events: enough for large frames, so that the broker need not wait for more."""


def main() -> int:
    configure_logs("ingest")
    try:
        settings = load_settings()
    except WrongSettings as error:
        sys.stderr.write(f"{error}\n")
        return Exit.WRONG_SETTINGS
    # What was read should be counted before more is read: frames that wait are of no use to anybody.
    os.nice(settings.ingest.niceness)
    return run(lambda: _main(settings))


async def _main(settings: Settings) -> int:
    telemetry = Telemetry("ingest")
    role = settings.ingest
    health = HealthServer(telemetry, role.host, role.port, role.address_file)
    health.not_ready("kafka", "not connected yet")
    stop = await stop_on_signals()
    beating = asyncio.create_task(keep_beating(health))
    health.start()
    try:
        ask = ask_kafka(settings, settings.kafka.ingest_group)
        with under_watch(settings.watchdog, health, ask, believed_s=settings.ingest.delivery_timeout):
            await check_frames(settings)
            await _work(settings, telemetry, health, stop)
    except (KafkaRefused, KafkaUnavailable) as error:
        raise Refused(str(error)) from error
    finally:
        beating.cancel()
        health.stop()
    return Exit.ORDERED_STOP


async def _work(settings: Settings, telemetry: Telemetry, health: HealthServer, stop: asyncio.Event) -> None:
    consumer = _consumer(settings)
    producer = make_producer(settings.kafka)
    try:
        with translated("connecting to Kafka"):
            await producer.start()
            await consumer.start()
        topics = [settings.topics.events, settings.topics.directory]
        structlog.get_logger().info("started", group=settings.kafka.ingest_group, topics=topics)
        await IngestWorker(settings, consumer, producer, telemetry, health).run(stop)
    except Exception:
        await abandon_producer(producer)
        raise
    else:
        await producer.stop()
    finally:
        await consumer.stop()


def _consumer(settings: Settings) -> AIOKafkaConsumer:
    accept_any_header_name()
    read_lean_records()
    session_ms = round(settings.ingest.session_timeout * 1000)
    return make_consumer(
        settings.kafka,
        settings.topics.events,
        settings.topics.directory,
        group_id=settings.kafka.ingest_group,
        # By this name `tidemark lag` says who reads a partition.
        client_id=client_name(settings.kafka.ingest_group),
        partition_assignment_strategy=(RangePartitionAssignor,),
        session_timeout_ms=session_ms,
        heartbeat_interval_ms=min(3000, session_ms // 3),
        max_partition_fetch_bytes=4 * 1024 * 1024,
        # The broker gathers what comes. A client that waits itself holds what it fetched before that, and waits twice.
        fetch_min_bytes=FETCH_MIN_BYTES,
        fetch_max_wait_ms=round(settings.ingest.linger * 1000),
        # A new source partition is heard of, and asOf unknown until it is read, within a second.
        metadata_max_age_ms=1000,
    )


if __name__ == "__main__":
    sys.exit(main())
