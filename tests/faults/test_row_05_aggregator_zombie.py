"""Row 5: an aggregator that was thought dead goes on beside its successor; the script lets one of them count."""

from collections.abc import Callable

import pytest

from tests.faults.apply_calls import applies_events
from tests.faults.load import seeded_load
from tests.faults.publisher import Publisher
from tests.faults.verdict import assert_right
from tests.support.deployment import Deployment
from tests.support.pipeline import await_condition
from tests.support.redis_server import RedisServer
from tests.support.tcp_proxy import TcpProxy

pytestmark = [pytest.mark.faults, pytest.mark.guarantee]

EVENTS = 6_000
RATE = 500


def test_an_aggregator_that_thaws_beside_its_successor_counts_nothing_twice(
    deploy: Callable[..., Deployment], redis: RedisServer
) -> None:
    deployment = deploy()
    with TcpProxy(redis.port) as proxy:
        zombie = deployment.worker("aggregator", variables={"redis__url": f"redis://{proxy.address}/0"})
        zombie.start()
        zombie.await_ready()
        deployment.start("ingest")
        with Publisher(deployment.settings, seeded_load(5, EVENTS, 4), rate=RATE) as publisher:
            publisher.await_count(EVENTS // 6)
            held: list[list[int]] = []

            def freeze(chunk: bytes) -> bool:
                if not applies_events(chunk):
                    return False
                zombie.freeze()
                held.append(deployment.applied())
                return True

            # Its last apply is on the way, and arrives long after its partitions have another owner.
            proxy.drop_from(freeze)
            await_condition(lambda: bool(held), "an apply is held in the network", seconds=20)
            successor = deployment.worker("aggregator")
            successor.start()
            successor.await_ready()
            await_condition(
                lambda: all(now > then for now, then in zip(deployment.applied(), held[0], strict=True)),
                f"the successor goes on with every partition:\n{successor.tail()}",
                seconds=30,
            )
            zombie.thaw()
            proxy.restore()
            published = publisher.wait()
        assert_right(deployment, published)
        assert not successor.exits
        assert "run_was_applied_before" in zombie.written(), zombie.tail()
