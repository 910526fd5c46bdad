"""Row 7: workers come and go every three seconds; nothing is counted twice or lost, and counting goes on after it."""

import time
from collections.abc import Callable

import pytest

from tests.faults.conftest import FULL
from tests.faults.redis_states import lasting_load
from tests.faults.storm import Storm
from tests.faults.verdict import assert_right
from tests.support.deployment import Deployment

pytestmark = [pytest.mark.faults, pytest.mark.guarantee, pytest.mark.timeout(400 if FULL else 300)]

STORM_SECONDS = 120 if FULL else 30
RATE = 200
AFTER_EVENTS = 400
"""Published when the last change was made, at least."""

RECOVERED_SECONDS = 30
ASSIGNED = '"event": "assigned"'
REBALANCES_MIN = 3


def test_counting_goes_on_after_a_storm(deploy: Callable[..., Deployment], tell: Callable[[str], None]) -> None:
    deployment = deploy()
    stays = deployment.start("ingest", "aggregator")
    storm = Storm(deployment, seed=7)

    def is_storm() -> bool:
        rebalances = stays[1].written().count(ASSIGNED)
        return bool(storm.killed and storm.stopped) and rebalances > REBALANCES_MIN

    with lasting_load(deployment, 7, RATE, events=(STORM_SECONDS + 10) * RATE) as publisher:
        publisher.await_count(RATE)
        storm.rage(STORM_SECONDS, is_storm)
        at_change = publisher.count
        publisher.await_count(at_change + AFTER_EVENTS)
        deployment.catch_up(RECOVERED_SECONDS)
        recovered_s = time.monotonic() - storm.changed_s
        tell(f"counting goes on {recovered_s:.1f} s after the last change of a storm (limit {RECOVERED_SECONDS} s)")
        assert recovered_s < RECOVERED_SECONDS, deployment.logs()
    published = publisher.published
    storm.assert_none_stuck()
    assert all(not worker.exits for worker in stays), deployment.logs()
    assert_right(deployment, published)
