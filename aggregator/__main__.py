"""`python -m aggregator`: one aggregator worker."""

import asyncio
import logging
import os
import sys
from collections.abc import Awaitable, Coroutine
from typing import Any, Final

import structlog
from aiokafka.errors import KafkaError

from aggregator.app import build_app, check_times
from aggregator.errors import FrameHeld, LostWrites
from aggregator.holding import stay_down
from aggregator.log_probe import LogProbe
from aggregator.owner import Owner
from aggregator.retrying import Retrying
from services.counters import CounterStore
from services.dependencies import ask_kafka_and_redis
from services.health import HealthServer, keep_beating
from services.kafka import KafkaRefused, KafkaUnavailable, translated
from services.lifecycle import Exit, Refused, run, stop_on_signals
from services.redis_checks import check_partitions, check_server
from services.redis_client import connect
from services.redis_counters import RedisCounterStore
from services.redis_rollbacks import note_rollback, rollbacks
from services.settings import Settings
from services.settings_loading import WrongSettings, load_settings
from services.spans import Spans, open_spans
from services.telemetry import Telemetry, configure_logs
from services.topics import check_frames
from services.watchdog import under_watch

PART_STOP_S: Final = 6.0
LOOK_INTERVAL_S: Final = 1.0


def main() -> int:
    configure_logs("aggregator")
    logging.getLogger("faust").setLevel(logging.WARNING)
    try:
        settings = load_settings()
        check_times(settings)
        spans = open_spans(settings.tracing, "aggregator")
    except WrongSettings as error:
        sys.stderr.write(f"{error}\n")
        return Exit.WRONG_SETTINGS
    # Where they share a machine: all partitions wait for Redis, and the longer a call takes, so do its other clients.
    os.nice(settings.aggregator.niceness)
    try:
        return run(lambda: _main(settings, spans))
    finally:
        if spans is not None:
            spans.close()


async def _main(settings: Settings, spans: Spans | None) -> int:
    telemetry = Telemetry("aggregator")
    role = settings.aggregator
    health = HealthServer(telemetry, role.host, role.port, role.address_file)
    health.not_ready("assignment", "no partitions assigned yet")
    stop = await stop_on_signals()
    beating = asyncio.create_task(keep_beating(health))
    health.start()
    # Each partition may read while its last run is on its way.
    connections = 2 * settings.topics.frames_partitions + 2
    client = connect(settings.redis, connections=connections, name="tidemark-aggregator")
    retrying = Retrying(telemetry, health)
    known = 0
    try:
        with under_watch(settings.watchdog, health, ask_kafka_and_redis(settings, settings.kafka.aggregator_group)):
            await retrying(lambda: check_server(client))
            await check_frames(settings)
            await retrying(lambda: check_partitions(client, settings.topics.frames_partitions))
            known = await retrying(lambda: rollbacks(client))
            telemetry.count("tidemark_redis_rollbacks_total", known)
            store = RedisCounterStore(client, settings.topics.frames_partitions)
            try:
                await _work(settings, store, retrying, telemetry, health, spans, stop)
            except FrameHeld as held:
                await stay_down(held, store, retrying, telemetry, health, stop)
            except LostWrites:
                await note_rollback(client, known)
                raise
    except (KafkaRefused, KafkaUnavailable) as error:
        raise Refused(str(error)) from error
    finally:
        beating.cancel()
        health.stop()
        await client.aclose()
    return Exit.ORDERED_STOP


async def _work(
    settings: Settings,
    store: CounterStore,
    retrying: Retrying,
    telemetry: Telemetry,
    health: HealthServer,
    spans: Spans | None,
    stop: asyncio.Event,
) -> None:
    """Run the Faust worker until the stop, or until one of its parts fails."""
    probe = LogProbe(settings.kafka, settings.topics.frames)
    await probe.start()
    owner = Owner(settings, store, probe, retrying, telemetry, health, spans)
    app = build_app(settings, owner)
    parts = [_task(owner.watch_store()), _task(owner.watch_log()), _task(app.start()), _task(_crashed(app))]
    parts.append(_task(_shut_out(app)))
    structlog.get_logger().info("started", group=settings.kafka.aggregator_group, topic=settings.topics.frames)
    ended = _task(stop.wait())
    try:
        with health.working(owner.works):
            while not ended.done():
                # Faust's start returns when all is started; what else ends, ends the worker.
                waiting = {ended, owner.failed, *(part for part in parts if not part.done())}
                done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                for part in done:
                    part.result()
    finally:
        for task in (ended, *parts):
            task.cancel()
        await _stop(owner.release(), app.stop(), probe.stop())


async def _stop(*parts: Awaitable[None]) -> None:
    """Stop one after the other; with Kafka away a part may wait for it for ever, and is left."""
    for part in parts:
        try:
            async with asyncio.timeout(PART_STOP_S):
                await part
        except TimeoutError:
            structlog.get_logger().warning("stopped_without_waiting", part=repr(part))


def _task(work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
    return asyncio.create_task(work)


async def _shut_out(app: Any) -> None:
    """Raise what keeps the worker out of its group."""
    while True:
        await asyncio.sleep(LOOK_INTERVAL_S)
        if (error := app.consumer.why_no_member()) is not None:
            with translated(f"joining the group {app.conf.id}"):
                raise error


async def _crashed(app: Any) -> None:
    """Raise what crashed Faust."""
    await app._crashed.wait()
    with translated("reading frames by a group"):
        if isinstance(app.crash_reason, KafkaError):
            raise app.crash_reason
    raise RuntimeError("the Faust worker crashed") from app.crash_reason


if __name__ == "__main__":
    sys.exit(main())
