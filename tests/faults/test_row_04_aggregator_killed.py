"""Row 4: the aggregator dies around an apply, or does not hear what became of it; every frame is applied once."""

from collections.abc import Callable, Iterator

import pytest
from redis import Redis

from services.crash_points import KILLED, POINTS
from services.identifiers import PartitionId
from services.keyspace import state_key, tags
from tests.faults.apply_calls import applies_events
from tests.faults.load import Planned, seeded_load
from tests.faults.publisher import Published, Publisher
from tests.faults.redis_states import logged
from tests.faults.verdict import assert_right
from tests.support.deployment import Deployment
from tests.support.pipeline import await_condition
from tests.support.redis_server import RedisServer
from tests.support.tcp_proxy import TcpProxy

pytestmark = [pytest.mark.faults, pytest.mark.guarantee]

EVENTS = 1_000
"""For each of the deaths."""

RATE = 2_000
SESSION_SECONDS = 3
"""After which the partitions of one that died are given to the next run."""

SIGKILLED = -9
REPLICA_SECONDS = 20


@pytest.fixture
def proxy(redis: RedisServer) -> Iterator[TcpProxy]:
    """Stands between the test's Redis and whom it is given to."""
    with TcpProxy(redis.port) as proxy:
        yield proxy


def publish(deployment: Deployment, planned: list[Planned]) -> list[Published]:
    with Publisher(deployment.settings, planned, rate=RATE) as publisher:
        return publisher.wait()


def test_an_aggregator_that_dies_around_an_apply_counts_every_frame_once(
    deploy: Callable[..., Deployment], proxy: TcpProxy
) -> None:
    deployment = deploy(aggregator__session_timeout=f"{SESSION_SECONDS}s")
    deployment.start("ingest")
    load = iter(seeded_load(4, 5 * EVENTS, 4))
    chunks = [[planned for planned, _ in zip(load, range(EVENTS), strict=False)] for _ in range(5)]
    aggregator = deployment.worker("aggregator", restarts=False, variables={"redis__url": f"redis://{proxy.address}/0"})
    points = [point for point in POINTS if point.startswith("aggregator.")]
    assert len(points) == 3
    published: list[Published] = []
    for number, point in enumerate(points, 1):
        aggregator.start(testing__crash_point=f"{point}:2")
        published += publish(deployment, chunks.pop())
        assert aggregator.await_exit(number).code == KILLED
        assert f"{point}:2" in [line["point"] for line in logged(aggregator, "crash_point_is_set")]

    before = deployment.applied()
    proxy.cut_reply(applies_events, then=aggregator.kill)
    aggregator.start()
    published += publish(deployment, chunks.pop())
    assert aggregator.await_exit(4).code == SIGKILLED
    assert proxy.cuts == 1
    assert sum(deployment.applied()) > sum(before), "the apply whose reply was cut changed nothing"

    aggregator.start()
    aggregator.await_ready()
    deployment.catch_up()
    before = deployment.applied()
    proxy.cut_reply(applies_events)
    published += publish(deployment, [*chunks.pop(), *load])
    assert_right(deployment, published)
    assert proxy.cuts == 2
    # It holds one frame where the worker keeps up, and more where it does not.
    [known] = logged(aggregator, "run_was_applied_before")
    assert known["first"] > before[known["partition"]]
    frames = known["last"] - known["first"] + 1
    assert aggregator.metric("tidemark_frames_total", result="duplicate") == frames
    assert (aggregator.metric("tidemark_store_retries_total") or 0) >= 1


class FailedOver:
    """A failover, when the reply to an apply is cut, to a replica that has everything but that apply."""

    def __init__(self, primary: RedisServer, replica: RedisServer, link: TcpProxy, proxy: TcpProxy) -> None:
        self._primary, self._replica = Redis(port=primary.port), Redis(port=replica.port)
        self._link, self._proxy, self._port = link, proxy, replica.port
        self._key = state_key(tags(1)[PartitionId(0)])
        self.applied: list[int] = []
        """The applied offset before the apply, after it on the old primary, and on the new one."""

    def follow(self) -> None:
        """Make the one a replica of the other, over the link."""
        self._replica.replicaof(*self._link.address.split(":"))
        await_condition(self._is_synchronous, "the replica has what the primary has", seconds=REPLICA_SECONDS)

    def begin(self) -> None:
        self._proxy.cut_reply(self._last_apply, then=self._fail_over)

    def close(self) -> None:
        self._primary.close()
        self._replica.close()

    def _last_apply(self, chunk: bytes) -> bool:
        if not applies_events(chunk):
            return False
        await_condition(self._is_synchronous, "the replica has every apply before", seconds=REPLICA_SECONDS)
        self._link.drop()
        self.applied.append(self._cur(self._primary))
        return True

    def _fail_over(self) -> None:
        self.applied.append(self._cur(self._primary))
        self._replica.replicaof("NO", "ONE")
        self.applied.append(self._cur(self._replica))
        self._proxy.retarget(self._port)

    def _is_synchronous(self) -> bool:
        up = self._replica.info("replication").get("master_link_status") == "up"
        return up and self._cur(self._primary) == self._cur(self._replica)

    def _cur(self, server: Redis) -> int:
        return int(server.hget(self._key, "cur") or -1)


def test_a_failover_between_an_apply_and_its_retry_loses_no_frame(
    deploy: Callable[..., Deployment], redis: RedisServer, proxy: TcpProxy
) -> None:
    with RedisServer.start_new() as replica, TcpProxy(redis.port) as link:
        failover = FailedOver(redis, replica, link, proxy)
        # One partition: else another one's apply in the same instant would be lost, which is row 15.
        deployment = deploy(redis=f"redis://{proxy.address}/0", topics__frames_partitions="1")
        _, aggregator = deployment.start("ingest", "aggregator")
        failover.follow()
        load = seeded_load(44, 3 * EVENTS, 4)
        published = publish(deployment, load[:EVENTS])
        failover.begin()
        published += publish(deployment, load[EVENTS:])
        assert_right(deployment, published)
        failover.close()
    before, after, promoted = failover.applied
    assert before < after
    assert before == promoted
    assert proxy.cuts == 1
    assert not aggregator.exits
    assert aggregator.metric("tidemark_redis_rollbacks_total") in (None, 0)
    assert (aggregator.metric("tidemark_store_retries_total") or 0) >= 1
