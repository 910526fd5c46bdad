"""How soon counting goes on after a fault; the figure of a rebalance storm is row 7's."""

import time
from collections.abc import Callable

import pytest

from tests.faults.load import seeded_load
from tests.faults.publisher import Publisher
from tests.faults.verdict import assert_right
from tests.support.deployment import Deployment
from tests.support.pipeline import await_condition
from tests.support.redis_server import RedisServer

pytestmark = [pytest.mark.faults, pytest.mark.guarantee]

RATE = 500
EVENTS = 30_000
"""More than are published: publishing ends when counting has gone on."""

AFTER_EVENTS = 500
KILLED_SECONDS = 20
REDIS_SECONDS = 5


def test_another_aggregator_takes_over_soon(deploy: Callable[..., Deployment], tell: Callable[[str], None]) -> None:
    deployment = deploy(aggregator__session_timeout="10s")
    deployment.start("ingest", "aggregator")
    stays = deployment.workers[-1]
    dies = deployment.worker("aggregator", restarts=False)
    dies.start()
    dies.await_ready()
    with Publisher(deployment.settings, seeded_load(71, EVENTS, 4), rate=RATE) as publisher:
        await_condition(lambda: bool(dies.metric("tidemark_applied_offset")), "both aggregators count", seconds=30)
        dies.kill()
        killed_s = time.monotonic()
        recovered_s = seconds_to_catch_up(deployment, publisher, killed_s, KILLED_SECONDS)
    published = publisher.published
    tell(f"counting goes on {recovered_s:.1f} s after SIGKILL of one of two aggregators (limit {KILLED_SECONDS} s)")
    assert recovered_s < KILLED_SECONDS
    assert dies.exits[0].code < 0
    assert not stays.exits
    assert_right(deployment, published)


def test_counting_goes_on_soon_after_a_redis_restart(
    redis: RedisServer, deploy: Callable[..., Deployment], tell: Callable[[str], None]
) -> None:
    deployment = deploy()
    _, aggregator = deployment.start("ingest", "aggregator")
    with Publisher(deployment.settings, seeded_load(72, EVENTS, 4), rate=RATE) as publisher:
        publisher.await_count(RATE)
        redis.kill_when_written()
        await_condition(lambda: (aggregator.metric("tidemark_store_retries_total") or 0) > 3, "it retries", seconds=30)
        redis.start()
        ready_s = time.monotonic()
        recovered_s = seconds_to_catch_up(deployment, publisher, ready_s, REDIS_SECONDS)
    published = publisher.published
    tell(f"counting goes on {recovered_s:.1f} s after a restarted Redis is ready (limit {REDIS_SECONDS} s)")
    assert recovered_s < REDIS_SECONDS
    assert not aggregator.exits
    assert_right(deployment, published)


def seconds_to_catch_up(deployment: Deployment, publisher: Publisher, since_s: float, limit_seconds: float) -> float:
    """Return how long after a moment all is applied that was published up to somewhat after it, in every partition."""
    publisher.await_count(publisher.count + AFTER_EVENTS)
    deployment.catch_up(limit_seconds * 2)
    return time.monotonic() - since_s
