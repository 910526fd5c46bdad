"""Row 16: the old primary takes one worker's writes while another has the new one; what vanishes is applied again."""

import math
from collections.abc import Callable, Iterator

import pytest

from services.keyspace import tags
from tests.faults.conftest import FULL
from tests.faults.redis_pair import RedisPair, applied_on, url_of
from tests.faults.redis_states import (
    LOST_WRITES,
    REFUSED,
    acknowledged,
    await_progress,
    await_waits_for,
    client,
    lasting_load,
)
from tests.faults.verdict import assert_right
from tests.support.deployment import PARTITIONS, Deployment
from tests.support.pipeline import await_condition
from tests.support.worker import Worker

pytestmark = [pytest.mark.faults, pytest.mark.guarantee]

LAG_MAX_SECONDS = 10 if FULL else 1
READ_ONLY = "read only replica"
NO_REPLICAS = "Not enough good replicas"


@pytest.fixture
def pair() -> Iterator[RedisPair]:
    with RedisPair("--min-replicas-max-lag", str(LAG_MAX_SECONDS)) as pair:
        yield pair


def test_what_the_old_primary_took_is_applied_again_and_bounded(
    deploy: Callable[..., Deployment], pair: RedisPair
) -> None:
    left_behind, moved_on = pair.proxy(pair.primary), pair.proxy(pair.primary)
    deployment = deploy(redis=url_of(moved_on))
    one = deployment.worker("aggregator", variables={"redis__url": url_of(left_behind)})
    one.start()
    deployment.start("ingest", "aggregator")
    one.await_ready()
    two = deployment.workers[-1]
    with lasting_load(deployment, 16) as publisher:
        await_progress(deployment, [-1] * PARTITIONS)
        await_condition(lambda: bool(owned(one) and owned(two)), "both own partitions", seconds=30)

        configure(pair, "min-replicas-to-write", 1)
        pair.link.drop()
        # Before, a replica that is late by chance may be taken for a bad one, and for a good one again.
        await_condition(lambda: silence_s(pair) > LAG_MAX_SECONDS + 1, "the replica is silent for good", seconds=60)
        await_waits_for(one, NO_REPLICAS)
        bound = applied_on(pair.primary, tags(PARTITIONS))
        await_waits_for(two, NO_REPLICAS)
        assert applied_on(pair.primary, tags(PARTITIONS)) == bound
        pair.link.restore()
        before = await_progress(deployment, bound)
        assert not one.exits
        assert not two.exits

        configure(pair, "min-replicas-to-write", 0)
        pair.link.drop()
        pair.promote()
        pair.lead_to_replica(moved_on)
        mine = sorted(owned(one))

        def is_split() -> bool:
            old, new = applied_on(pair.primary, tags(PARTITIONS)), applied_on(pair.replica, tags(PARTITIONS))
            return all(old[at] > max(new[at], before[at]) for at in mine)

        await_condition(is_split, "the old primary alone has frames of one worker", seconds=30)
        pair.demote()
        died = one.await_exit()
        assert (died.code, LOST_WRITES in died.last_line) == (REFUSED, True), died
        await_waits_for(one, READ_ONLY)
        pair.lead_to_replica(left_behind)
        one.await_ready()
    assert_right(deployment, publisher.published)


def owned(worker: Worker) -> set[int]:
    """Partitions of a worker; of those given up it says nothing."""
    return set(acknowledged(worker))


def silence_s(pair: RedisPair) -> float:
    """Return the whole seconds since the replica was heard of last; infinite where it was given up."""
    with client(pair.primary) as asked:
        return float(asked.info("replication").get("slave0", {"lag": math.inf})["lag"])


def configure(pair: RedisPair, name: str, value: int) -> None:
    with client(pair.primary) as asked:
        asked.config_set(name, value)
