"""A stuck worker is ended and started again, one whose Kafka and Redis are away is not, and all is counted once."""

import os
import re
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from services.clock import now_ms
from tests.support.comparison import compare
from tests.support.event_lines import event_line
from tests.support.oracle import Oracle
from tests.support.pipeline import ROOT, PipelineUnderTest, await_condition
from tests.support.sabotage import write_sabotage
from tests.support.servers import Broker, Redis, start_redis

pytestmark = [pytest.mark.e2e, pytest.mark.guarantee]

EVENTS = 2_000
LOOP_SECONDS = 2
WORK_SECONDS = 3
AWAY_SECONDS = 7
SECONDS = 40


@pytest.fixture
def redis_to_freeze() -> Iterator[Redis]:
    server = start_redis()
    yield server
    server.close()


@contextmanager
def frozen(*pids: int) -> Iterator[None]:
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


@pytest.mark.timeout(150)
def test_a_stuck_worker_is_ended_and_one_without_its_servers_is_not(
    tmp_path: Path, kafka: Broker, redis_to_freeze: Redis
) -> None:
    sabotage = write_sabotage(tmp_path / "sabotage")
    variables = {
        "PYTHONPATH": f"{sabotage}:{ROOT}",
        "TIDEMARK_WATCHDOG__LOOP_LIMIT": f"{LOOP_SECONDS}s",
        "TIDEMARK_WATCHDOG__WORK_LIMIT": f"{WORK_SECONDS}s",
        "TIDEMARK_INGEST__SESSION_TIMEOUT": "2s",
        "TIDEMARK_AGGREGATOR__SESSION_TIMEOUT": "2s",
        "TIDEMARK_TOPICS__FRAMES_PARTITIONS": "2",
    }
    pipeline = PipelineUnderTest(tmp_path, kafka.bootstrap, redis_to_freeze.url, (), variables)
    try:
        pipeline.start()
        lines = [event_line(f"e-{at}", now_ms() - at, organizationid=f"org-{at % 5}") for at in range(EVENTS)]
        stuck_workers_are_ended(pipeline, sabotage, lines[: EVENTS // 2])
        workers_without_servers_are_not(pipeline, (kafka.pid, redis_to_freeze.pid), lines[EVENTS // 2 :])
        result = compare(pipeline.export(), Oracle(lines).rows())
        assert result.equal, f"{result}\n{pipeline.log()}"
    finally:
        pipeline.close()


def stuck_workers_are_ended(pipeline: PipelineUnderTest, sabotage: Path, lines: list[bytes]) -> None:
    first = {role: pipeline.pids(role)[0] for role in ("ingest", "aggregator")}
    publish(pipeline, lines)

    def said() -> str:
        return (pipeline.directory / "up.log").read_text()

    await_condition(
        lambda: all(re.search(rf"{role} \(pid \d+\) is ready again", said()) for role in first),
        "both are started again",
        seconds=SECONDS,
    )
    for role, cause in (("ingest", "a poll waits"), ("aggregator", "the event loop has not turned")):
        assert (sabotage / role).exists(), f"{role} never hung"
        assert f"{role} (pid {first[role]}) was stuck and ended itself: {cause}" in said(), pipeline.log()
    log = (pipeline.directory / "logs" / "aggregator-0.log").read_text()
    assert "apply_and_block" in log, "the log names where the loop stood"


def workers_without_servers_are_not(pipeline: PipelineUnderTest, servers: tuple[int, ...], lines: list[bytes]) -> None:
    running = {role: pipeline.pids(role) for role in ("ingest", "aggregator")}
    publish(pipeline, lines)
    log = pipeline.directory / "logs" / "ingest-0.log"
    with frozen(*servers):
        time.sleep(AWAY_SECONDS)
        # Before it says so, it has asked them for some seconds; servers that are back by then would answer.
        await_condition(
            lambda: "work_waits_for_dependency" in log.read_text(), "ingest knows why its work waits", seconds=SECONDS
        )
    pipeline.catch_up(SECONDS)
    assert {role: pipeline.pids(role) for role in running} == running, pipeline.log()


def publish(pipeline: PipelineUnderTest, lines: list[bytes]) -> None:
    file = pipeline.directory / "events.ndjson"
    file.write_bytes(b"\n".join(lines) + b"\n")
    pipeline.publish(file)
