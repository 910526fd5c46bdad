"""Row 14: an older append-only file is restored; it is noticed, and the log brings everything forward again."""

import time
from collections.abc import Callable

import pytest

from tests.faults.redis_states import (
    LOST_WRITES,
    REFUSED,
    acknowledged,
    await_all_frames,
    await_progress,
    await_waiting_frames,
    lasting_load,
)
from tests.faults.verdict import assert_right
from tests.support.deployment import PARTITIONS, Deployment
from tests.support.redis_server import RedisServer

pytestmark = [pytest.mark.faults, pytest.mark.guarantee]

NOTICED_SECONDS = 10.0
"""Of it 3 s may pass until a worker that waited for Redis looks; the rest is for the end of its process."""

WAITING_FRAMES = 5
ROLLBACKS = "tidemark_redis_rollbacks_total"


def test_what_an_older_file_lacks_is_applied_again_under_load_and_on_an_idle_partition(
    deploy: Callable[..., Deployment], redis: RedisServer
) -> None:
    deployment = deploy()
    ingest, aggregator = deployment.start("ingest", "aggregator")
    with lasting_load(deployment, 14) as publisher:
        older = await_progress(deployment, [-1] * PARTITIONS, 2)
        copy = redis.copy_files()
        await_progress(deployment, older, 3)
        redis.kill()
        known = acknowledged(aggregator)
        # Ingest goes on meanwhile: the worker's queues are full of frames that follow what Redis loses.
        await_waiting_frames(deployment, [known[at] for at in range(PARTITIONS)], WAITING_FRAMES)
        redis.restore_files(copy)
        redis.start()
        died = aggregator.await_exit()
        assert died.code == REFUSED
        assert LOST_WRITES in died.last_line
    published = publisher.published
    assert_right(deployment, published)
    assert aggregator.metric(ROLLBACKS) == 1

    assert ingest.stop() == 0
    latest = await_all_frames(deployment)
    redis.kill()
    redis.restore_files(copy)
    redis.start()
    began = time.monotonic()
    died = aggregator.await_exit(2)
    assert time.monotonic() - began < NOTICED_SECONDS
    assert (died.code, LOST_WRITES in died.last_line) == (REFUSED, True)
    assert_right(deployment, published)
    assert await_all_frames(deployment) == latest
    assert aggregator.metric(ROLLBACKS) == 2
