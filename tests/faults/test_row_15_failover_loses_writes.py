"""Row 15: a failover to a replica that lacks acknowledged writes; the log brings them back, Kafka's offset does not."""

from collections.abc import Callable, Iterator

import pytest

from services.keyspace import tags
from tests.faults.redis_pair import RedisPair, applied_on, url_of
from tests.faults.redis_states import (
    LOST_WRITES,
    REFUSED,
    await_progress,
    committed,
    lasting_load,
    logged,
)
from tests.faults.verdict import assert_right
from tests.support.deployment import PARTITIONS, Deployment
from tests.support.pipeline import await_condition

pytestmark = [pytest.mark.faults, pytest.mark.guarantee]


@pytest.fixture
def pair() -> Iterator[RedisPair]:
    with RedisPair() as pair:
        yield pair


def test_what_a_failover_lost_is_applied_again(deploy: Callable[..., Deployment], pair: RedisPair) -> None:
    front = pair.proxy(pair.primary)
    deployment = deploy(redis=url_of(front))
    _, aggregator = deployment.start("ingest", "aggregator")
    with lasting_load(deployment, 15) as publisher:
        await_progress(deployment, [-1] * PARTITIONS)
        pair.link.drop()
        lost_from = applied_on(pair.replica, tags(PARTITIONS))

        def is_committed() -> bool:
            """Whether a worker that trusted Kafka would leave lost frames out, in every partition."""
            return all(offset > held + 1 for offset, held in zip(committed(deployment), lost_from, strict=True))

        await_condition(is_committed, "Kafka's offsets are ahead of the replica", seconds=30, every=0.3)
        pair.primary.kill()
        pair.promote()
        kept = applied_on(pair.replica, tags(PARTITIONS))
        assert all(offset > held + 1 for offset, held in zip(committed(deployment), kept, strict=True))
        pair.lead_to_replica(front)
        died = aggregator.await_exit()
        assert (died.code, LOST_WRITES in died.last_line) == (REFUSED, True), died
        aggregator.await_ready()
    assert_right(deployment, publisher.published)
    assert len(logged(aggregator, "assigned")) >= 2
