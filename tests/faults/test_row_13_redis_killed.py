"""Row 13: Redis is killed under load, no disk sync going on, and started: of what it acknowledged nothing is lost."""

from collections.abc import Callable

import pytest

from tests.faults.redis_states import acknowledged, await_progress, lasting_load
from tests.faults.verdict import assert_right
from tests.support.deployment import PARTITIONS, Deployment
from tests.support.pipeline import await_condition
from tests.support.redis_server import RedisServer

pytestmark = [pytest.mark.faults, pytest.mark.guarantee]

KILLS = 2


def test_a_killed_redis_has_kept_what_it_acknowledged(deploy: Callable[..., Deployment], redis: RedisServer) -> None:
    deployment = deploy()
    _, aggregator = deployment.start("ingest", "aggregator")
    with lasting_load(deployment, 13) as publisher:
        applied = [-1] * PARTITIONS
        for _ in range(KILLS):
            applied = await_progress(deployment, applied)
            retries = aggregator.metric("tidemark_store_retries_total") or 0
            redis.kill_when_written()
            await_condition(
                lambda known=retries: (aggregator.metric("tidemark_store_retries_total") or 0) > known,  # type: ignore[misc]
                "the worker calls again",
                seconds=20,
            )
            known = acknowledged(aggregator)
            # Held still, so that what Redis holds when it is back is what it had kept.
            aggregator.freeze()
            redis.start()
            kept = deployment.applied()
            aggregator.thaw()
            assert len(known) == PARTITIONS
            assert all(kept[partition] >= offset for partition, offset in known.items())
    assert_right(deployment, publisher.published)
    assert not aggregator.exits
