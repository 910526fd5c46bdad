"""Row 17: Redis goes back further than frames are kept; nothing is applied over the hole, and it is said."""

from collections.abc import Callable

import pytest

from tests.faults.load import seeded_load
from tests.faults.publisher import Publisher
from tests.faults.redis_states import (
    LOST_WRITES,
    REFUSED,
    await_progress,
    delete_frames_before,
    logged,
)
from tests.support.deployment import PARTITIONS, Deployment
from tests.support.redis_server import RedisServer

pytestmark = [pytest.mark.faults, pytest.mark.guarantee]

EVENTS = 1_000


def test_a_gap_in_the_frames_is_refused_with_its_remedy(deploy: Callable[..., Deployment], redis: RedisServer) -> None:
    deployment = deploy()
    _, aggregator = deployment.start("ingest", "aggregator")
    await_progress(deployment, [-1] * PARTITIONS)
    with Publisher(deployment.settings, seeded_load(17, EVENTS, 4)) as publisher:
        redis.freeze()
        copy = redis.copy_files()
        redis.thaw()
        older = deployment.applied()
        publisher.wait()
    deployment.catch_up()
    applied = await_progress(deployment, older, 5)
    delete_frames_before(deployment, applied)
    redis.kill()
    redis.restore_files(copy)
    redis.start()
    held = deployment.applied()
    assert all(offset + 1 < start for offset, start in zip(held, applied, strict=True))
    exported = list(deployment.export())

    assert LOST_WRITES in aggregator.await_exit(1).last_line
    for number in (2, 3):
        refused = aggregator.await_exit(number)
        assert refused.code == REFUSED
        assert refused.last_line.startswith("unrecoverable_gap: partition ")
        assert "only frames up to" in refused.last_line
        assert refused.last_line.endswith("Restore a younger backup of Redis, or run `tidemark rebuild`")
    alarm = logged(aggregator, "unrecoverable_gap")[0]
    at = alarm["partition"]
    assert (alarm["level"], alarm["first_offset"], alarm["applied_offset"]) == ("error", applied[at], held[at])
    assert deployment.applied() == held
    assert list(deployment.export()) == exported
