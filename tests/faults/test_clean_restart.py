"""A clean restart is no fault: nothing is read twice, nothing is refused as known or missing, and lag is soon gone."""

from collections.abc import Callable

import pytest

from services.lifecycle import Exit
from tests.faults.load import seeded_load
from tests.faults.publisher import Publisher
from tests.faults.verdict import assert_right
from tests.support.deployment import Deployment
from tests.support.pipeline import await_condition
from tests.support.worker import Worker

pytestmark = [pytest.mark.faults, pytest.mark.guarantee]

EVENTS = 6_500
AMID_WORK = 5_000
"""So many come while the first processes live, and wait for the next ones in part."""

RATE = 1_000
CAUGHT_UP_SECONDS = 10


def test_roles_that_are_restarted_in_order_read_nothing_twice(deploy: Callable[..., Deployment]) -> None:
    deployment = deploy()
    before = deployment.start("ingest", "aggregator")
    load = seeded_load(3, EVENTS, 4)
    with Publisher(deployment.settings, load[:AMID_WORK], rate=RATE) as publisher:
        publisher.await_count(AMID_WORK // 10)
        await_condition(lambda: bool(applied(before[1])), "frames are applied", seconds=30)
        assert refused(before[1]) == 0
        assert publisher.count < AMID_WORK, "stopped after the work"
        assert [worker.stop() for worker in before] == [Exit.ORDERED_STOP, Exit.ORDERED_STOP]
        published = publisher.wait()
    after = deployment.start("ingest", "aggregator")
    with Publisher(deployment.settings, load[AMID_WORK:]) as publisher:
        published += publisher.wait()
    verdict = assert_right(deployment, published, seconds=CAUGHT_UP_SECONDS)
    assert verdict.redelivered == 0
    assert refused(after[1]) == 0


def refused(aggregator: Worker) -> float:
    """Return how many frames the store answered with DUP or GAP; there must be some that it applied."""
    assert applied(aggregator)
    return sum(aggregator.metric("tidemark_frames_total", result=result) or 0 for result in ("duplicate", "gap"))


def applied(aggregator: Worker) -> float | None:
    return aggregator.metric("tidemark_frames_total", result="applied")
