"""Every process that holds anything is killed in the middle of the work, and the counters come out the same."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.comparison import compare
from tests.support.oracle import Oracle
from tests.support.paced_publishing import PacedPublishing
from tests.support.pipeline import PipelineUnderTest, await_condition, running_pipeline
from tests.support.servers import Broker, Redis, start_redis

pytestmark = [pytest.mark.e2e, pytest.mark.guarantee, pytest.mark.slow]

LINES = 120_000
RATE = 2_000
"""So that the load lasts three times as long as the kills take where nothing else runs; then comes the rest at once."""

RECOVERY_SECONDS = 40


@pytest.fixture
def redis_to_kill() -> Iterator[Redis]:
    server = start_redis()
    yield server
    server.close()


@pytest.mark.timeout(240)
def test_killed_processes_and_a_restarted_redis_change_no_counter(
    tmp_path: Path, kafka: Broker, redis_to_kill: Redis
) -> None:
    with running_pipeline(tmp_path, kafka.bootstrap, redis_to_kill.url, "--max-event-age", "none") as pipeline:
        input_file = tmp_path / "simulated.ndjson"
        pipeline.run("simulate", "--seed", "21", "--events", str(LINES), "--out", input_file)
        lines = input_file.read_bytes().splitlines()
        counted = Oracle(lines)
        with PacedPublishing(pipeline, lines, rate=RATE) as publishing:
            kill_role_amid_work(pipeline, "aggregator", after=2_000)
            restart_redis_amid_work(pipeline, redis_to_kill)
            kill_role_amid_work(pipeline, "ingest", after=10_000)
            assert publishing.goes_on, "the last kill came after the end of publishing"
            publishing.finish()
        pipeline.catch_up()
        assert pipeline.applied() == LINES
        result = compare(pipeline.export(), counted.rows())
        assert result.equal, f"{result}\n{pipeline.log()}"


def kill_role_amid_work(pipeline: PipelineUnderTest, role: str, after: int) -> None:
    """SIGKILL a role's only process while it works, and wait until what follows it has made progress."""
    applied = await_some_but_not_all(pipeline, after)
    [pid] = pipeline.pids(role)
    os.kill(pid, signal.SIGKILL)
    await_condition(
        lambda: pipeline.pids(role) not in ([pid], []), f"{role} is started again", seconds=RECOVERY_SECONDS
    )
    await_progress(pipeline, applied)


def restart_redis_amid_work(pipeline: PipelineUnderTest, redis: Redis) -> None:
    applied = await_some_but_not_all(pipeline, 0)
    redis.kill()
    redis.start()
    await_progress(pipeline, applied)


def await_some_but_not_all(pipeline: PipelineUnderTest, more_than: int) -> int:
    """Return how many are applied once it is more than so many; it must not be all."""
    await_condition(lambda: pipeline.applied() > more_than, f"{more_than} events applied", seconds=RECOVERY_SECONDS)
    applied = pipeline.applied()
    assert 0 < applied < LINES, "killed before or after the work"
    return applied


def await_progress(pipeline: PipelineUnderTest, applied: int) -> None:
    await_condition(lambda: pipeline.applied() > applied, f"more than {applied} applied", seconds=RECOVERY_SECONDS)
