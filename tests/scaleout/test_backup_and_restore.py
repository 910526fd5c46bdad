"""A backup of Redis by BGSAVE, restored under load as deploy/docs/upgrades.md says; row 14 does it with the AOF."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from redis import Redis

from tests.faults.redis_states import (
    LOST_WRITES,
    REFUSED,
    await_progress,
    client,
    delete_frames_before,
    lasting_load,
    logged,
)
from tests.faults.verdict import assert_right
from tests.scaleout.deploying import deployed
from tests.support.deployment import PARTITIONS, Deployment
from tests.support.pipeline import TIDEMARK, await_condition, clean_environment
from tests.support.ports import free_ports
from tests.support.redis_server import RedisServer, bundled_valkey, installed_redis
from tests.support.servers import Broker

pytestmark = [pytest.mark.scaleout, pytest.mark.guarantee, pytest.mark.timeout(400)]

SNAPSHOT = "dump.rdb"
FOLDED_FROM_NOTHING = "redis_is_empty_frames_are_folded_again"
WITHOUT_LOG = ("--appendonly", "no")


def test_a_snapshot_is_brought_forward_by_the_frames_and_refused_where_they_do_not_reach(
    kafka: Broker, tmp_path: Path
) -> None:
    with RedisServer.start_new() as redis, deployed(tmp_path / "d", kafka.bootstrap, redis.url) as deployment:
        _, aggregator = deployment.start("ingest", "aggregator")
        with lasting_load(deployment, 62) as publisher:
            await_progress(deployment, [-1] * PARTITIONS, 2)
            backup = backed_up(redis, tmp_path / "backup")
            await_progress(deployment, deployment.applied(), 3)
            with restored(backup) as copy:
                rows = reach(deployment, copy)
                held = [row["applied"] for row in rows]
                assert {(row["verdict"], row["firstKept"]) for row in rows} == {("reaches", 0)}
                assert all(row["waiting"] >= 3 and row["keptUntil"] > row["keptSince"] for row in rows)
            assert all(at < now for at, now in zip(held, deployment.applied(), strict=True))
            begun = len(logged(aggregator, FOLDED_FROM_NOTHING))
            put_in_place(redis, backup)
            died = aggregator.await_exit()
            assert (died.code, LOST_WRITES in died.last_line) == (REFUSED, True), died
            aggregator.await_ready()
            await_progress(deployment, deployment.applied())
        assert_right(deployment, publisher.published)
        # From the snapshot, and not from an empty Redis and the whole log.
        assert len(logged(aggregator, FOLDED_FROM_NOTHING)) == begun

        # Of one partition only, and by one frame only.
        delete_frames_before(deployment, [0, 0, held[2] + 2, 0])
        with restored(backup) as copy:
            rows = reach(deployment, copy, code=1)
            assert [row["verdict"] for row in rows] == ["reaches", "reaches", "gone", "reaches"]
        assert {row["verdict"] for row in reach(deployment, redis)} == {"reaches"}


def backed_up(redis: RedisServer, directory: Path) -> Path:
    """Take a snapshot of a running server and copy it away."""
    with client(redis) as asked:
        before = asked.lastsave()
        # Its clock has seconds: a snapshot within the same one would not be told from the last.
        await_condition(lambda: bool(asked.time()[0] > before.timestamp()), "a second is over", seconds=5)
        asked.bgsave()
        await_condition(lambda: bool(asked.lastsave() > before), "the snapshot is written", seconds=30)
    directory.mkdir()
    return Path(shutil.copy(redis.directory / SNAPSHOT, directory))


@contextmanager
def restored(backup: Path) -> Iterator[RedisServer]:
    """Yield a server of its own on a copy of a snapshot: a look at a backup before it is put in place."""
    program = installed_redis() or bundled_valkey()
    assert program is not None
    with TemporaryDirectory(prefix="tidemark-redis-") as directory:
        shutil.copy(backup, directory)
        with RedisServer(program, Path(directory), free_ports(1)[0], WITHOUT_LOG) as server:
            server.start()
            yield server


def put_in_place(redis: RedisServer, backup: Path) -> None:
    """Restore a snapshot. With its append-only file on from the start, Redis would not even look at it."""
    redis.kill()
    redis.restore_files(backup.parent)
    redis.arguments = list(WITHOUT_LOG)
    redis.start()
    with client(redis) as asked:
        asked.config_set("appendonly", "yes")
        await_condition(lambda: is_written(asked), "the append-only file holds the snapshot", seconds=30)


def is_written(asked: Redis) -> bool:
    told = asked.info("persistence")
    return not told["aof_rewrite_in_progress"] and not told["aof_rewrite_scheduled"] and bool(told["aof_enabled"])


def reach(deployment: Deployment, redis: RedisServer, *, code: int = 0) -> list[dict[str, Any]]:
    """Return what `frames reach` says of a server."""
    variables = clean_environment(deployment.variables | {"TIDEMARK_REDIS__URL": redis.url})
    command = [*TIDEMARK, "frames", "reach", "--json"]
    done = subprocess.run(command, env=variables, cwd=deployment.directory, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    rows: list[dict[str, Any]] = json.loads(done.stdout)
    wrong = [row["partition"] for row in rows if row["verdict"] != "reaches"]
    assert [line.partition(":")[0] for line in done.stderr.splitlines()] == [f"partition {each}" for each in wrong]
    return rows
