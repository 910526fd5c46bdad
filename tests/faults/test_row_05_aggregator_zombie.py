"""Row 5: an aggregator that was thought dead goes on beside its successor; the script lets one of them count."""

import threading
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

EVENTS = 5_000
SESSION_SECONDS = 3
RATE = 500
FROZEN_SECONDS = 20


def test_an_aggregator_that_thaws_beside_its_successor_counts_nothing_twice(
    deploy: Callable[..., Deployment], redis: RedisServer
) -> None:
    deployment = deploy(aggregator__session_timeout=f"{SESSION_SECONDS}s")
    with TcpProxy(redis.port) as proxy:
        zombie = deployment.worker("aggregator", variables={"redis__url": f"redis://{proxy.address}/0"})
        zombie.start()
        zombie.await_ready()
        deployment.start("ingest")
        with Publisher(deployment.settings, seeded_load(5, EVENTS, 4), rate=RATE) as publisher:
            publisher.await_count(EVENTS // 6)
            frozen = threading.Event()

            def freeze(chunk: bytes) -> bool:
                if not applies_events(chunk):
                    return False
                zombie.freeze()
                frozen.set()
                return True

            # Its last apply is on the way, and arrives long after its partitions have another owner.
            proxy.drop_from(freeze)
            assert frozen.wait(FROZEN_SECONDS), "no apply was held in the network"
            held = deployment.applied()
            successor = deployment.worker("aggregator")
            successor.start()
            successor.await_ready()
            await_condition(
                lambda: all(now > then for now, then in zip(deployment.applied(), held, strict=True)),
                f"the successor goes on with every partition:\n{successor.tail()}",
                seconds=30,
            )
            zombie.thaw()
            proxy.restore()
            published = publisher.wait()
        assert_right(deployment, published)
        assert not successor.exits
        await_condition(
            lambda: "run_was_applied_before" in zombie.written(), "the zombie is told that it is late", seconds=30
        )
