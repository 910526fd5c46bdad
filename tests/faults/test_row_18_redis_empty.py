"""Row 18: Redis is emptied; it is folded again from whole frames, and refused where that cannot be right."""

from collections.abc import Callable

import pytest

from services.keyspace import state_key, tags
from tests.faults.load import seeded_load
from tests.faults.publisher import Publisher
from tests.faults.redis_states import (
    LOST_WRITES,
    REFUSED,
    await_all_frames,
    await_progress,
    client,
    delete_frames_before,
    ends_of_frames,
    lasting_load,
    logged,
)
from tests.faults.verdict import assert_right, limits_of
from tests.support.comparison import compare
from tests.support.deployment import PARTITIONS, Deployment
from tests.support.oracle import Oracle
from tests.support.pipeline import await_condition
from tests.support.redis_server import RedisServer
from tests.support.worker import Worker

pytestmark = [pytest.mark.faults, pytest.mark.guarantee]

EVENTS = 1_000
FOLDED_AGAIN = "redis_is_empty_frames_are_folded_again"


def test_an_emptied_redis_is_filled_from_whole_frames_and_else_refused(
    deploy: Callable[..., Deployment], redis: RedisServer
) -> None:
    deployment = deploy()
    ingest, aggregator = deployment.start("ingest", "aggregator")
    with lasting_load(deployment, 18) as publisher, client(redis) as asked:
        await_progress(deployment, [-1] * PARTITIONS, 3)
        asked.flushall()
        assert LOST_WRITES in aggregator.await_exit().last_line
        await_folded_again(aggregator, PARTITIONS)
        await_progress(deployment, [-1] * PARTITIONS, 3)
    assert_right(deployment, publisher.published)

    with client(redis) as asked:
        gone = len(aggregator.exits) + 1
        # One partition's progress is gone, and its counters are not.
        asked.delete(state_key(tags(PARTITIONS)[0]))
        assert LOST_WRITES in aggregator.await_exit(gone).last_line
        refused = aggregator.await_exit(gone + 1)
        assert refused.code == REFUSED
        assert refused.last_line.startswith("partition 0 has counters (")
        assert "no applied offset" in refused.last_line
        asked.flushall()
    await_folded_again(aggregator, 2 * PARTITIONS)
    aggregator.await_ready()
    assert_right(deployment, publisher.published)

    assert ingest.stop() == 0
    await_all_frames(deployment)  # one that is deleted before it is read ends the worker in another way
    delete_frames_before(deployment, ends_of_frames(deployment))
    gone = len(aggregator.exits) + 1
    with client(redis) as asked:
        asked.flushall()
    assert LOST_WRITES in aggregator.await_exit(gone).last_line
    refused = aggregator.await_exit(gone + 1)
    assert refused.code == REFUSED
    assert "start with --allow-rebuild" in refused.last_line
    assert deployment.states() == [None] * PARTITIONS
    aggregator.close()
    assert_counts_what_comes_when_allowed(deployment)


def await_folded_again(aggregator: Worker, times: int) -> None:
    await_condition(
        lambda: len(logged(aggregator, FOLDED_AGAIN)) >= times, f"{times} partitions are folded again", seconds=60
    )


def assert_counts_what_comes_when_allowed(deployment: Deployment) -> None:
    allowed = deployment.worker("aggregator", options=["--allow-rebuild"])
    allowed.start()
    allowed.await_ready()
    deployment.start("ingest")
    with Publisher(deployment.settings, seeded_load(180, EVENTS, 4)) as publisher:
        published = publisher.wait()
    deployment.catch_up()
    oracle = Oracle()
    for record in published:
        oracle.add(record.value, record.broker_ms, limits_of(deployment.settings))
    result = compare(deployment.export(), oracle.rows())
    assert result.equal, f"{result}\n{deployment.logs()}"
