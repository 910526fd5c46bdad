"""An older Redis under an idle log: what it lost is noticed without a new frame, and read again from `cur` + 1.

No event comes any more, so no apply and no read tells; and the group's committed offset is ahead of `cur`.
"""

from collections.abc import Callable

import pytest

from services.lifecycle import Exit
from tests.faults.load import seeded_load
from tests.faults.publisher import Published, Publisher
from tests.faults.redis_states import await_all_frames
from tests.faults.verdict import assert_right
from tests.support.deployment import Deployment
from tests.support.redis_server import RedisServer

pytestmark = [pytest.mark.faults, pytest.mark.guarantee]

EVENTS = 1_500
NOTICED_SECONDS = 10
CAUGHT_UP_SECONDS = 20


def test_an_idle_aggregator_notices_that_redis_went_back_and_reads_on_from_there(
    deploy: Callable[..., Deployment], redis: RedisServer
) -> None:
    deployment = deploy()
    ingest, aggregator = deployment.start("ingest", "aggregator")
    published = publish(deployment, seed=1)
    older = redis.copy_files()
    published += publish(deployment, seed=2)
    assert ingest.stop() == Exit.ORDERED_STOP
    applied = await_all_frames(deployment)

    redis.kill()
    redis.restore_files(older)
    redis.start()
    went_back = aggregator.await_exit(seconds=NOTICED_SECONDS)
    assert went_back.code == Exit.REFUSED
    assert "it lost writes" in went_back.last_line
    assert_right(deployment, published, seconds=CAUGHT_UP_SECONDS)
    assert await_all_frames(deployment) == applied


def publish(deployment: Deployment, seed: int) -> list[Published]:
    with Publisher(deployment.settings, seeded_load(seed, EVENTS, 4)) as publisher:
        published = publisher.wait()
    deployment.catch_up()
    return published
