"""The whole of Tidemark on a Redis Cluster: what two workers of each role count, also through a failover under load."""

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from services.keyspace import state_key, tags
from services.redis_slots import slot_of
from tests.faults.redis_states import LOST_WRITES, REFUSED, await_progress, lasting_load
from tests.faults.verdict import assert_right
from tests.support.deployment import PARTITIONS, Deployment
from tests.support.pipeline import await_condition
from tests.support.ports import free_ports
from tests.support.redis_cluster import RedisCluster, client, held
from tests.support.redis_server import RedisServer
from tests.support.servers import Broker

pytestmark = [pytest.mark.scaleout, pytest.mark.guarantee, pytest.mark.timeout(150)]

ROLES = ("ingest", "ingest", "aggregator", "aggregator", "api")
LOST_FRAMES = 3
"""That a replica lacks of each of its partitions, at least."""


@pytest.fixture
def deploy(tmp_path: Path, kafka: Broker, redis_cluster: RedisCluster) -> Iterator[Callable[..., Deployment]]:
    """Makes deployments on the session's broker and cluster; keyword arguments are settings."""
    made: list[Deployment] = []

    def make(**settings: str) -> Deployment:
        deployment = Deployment(tmp_path, kafka.bootstrap, redis_cluster.url, **settings).begin()
        made.append(deployment)
        return deployment

    yield make
    for deployment in made:
        deployment.close()


def applied_on(node: RedisServer, partition: int) -> int:
    found = held(node, state_key(tags(PARTITIONS)[partition]), "cur")
    return -1 if found is None else int(found)


@pytest.mark.parametrize("partitions", [16, 32])
def test_the_slots_of_the_partitions_lie_evenly_on_the_masters(redis_cluster: RedisCluster, partitions: int) -> None:
    owners = Counter(redis_cluster.master_of(slot_of(state_key(tag))).port for tag in tags(partitions))
    assert len(owners) == 3
    assert max(owners.values()) - min(owners.values()) <= 1


def test_what_a_failover_under_load_lost_is_applied_again(
    deploy: Callable[..., Deployment], redis_cluster: RedisCluster
) -> None:
    deployment = deploy(api__port=str(free_ports(1)[0]))
    workers = deployment.start(*ROLES)
    aggregators = [worker for worker in workers if worker.role == "aggregator"]
    with lasting_load(deployment, 4) as publisher:
        await_progress(deployment, [-1] * PARTITIONS)
        master = redis_cluster.master_of(slot_of(state_key(tags(PARTITIONS)[1])))
        replica = redis_cluster.replica_of(master)
        of_it = [
            at for at, tag in enumerate(tags(PARTITIONS)) if redis_cluster.master_of(slot_of(state_key(tag))) is master
        ]
        redis_cluster.cut_off(replica)

        def is_ahead() -> bool:
            return all(applied_on(master, at) >= applied_on(replica, at) + LOST_FRAMES for at in of_it)

        await_condition(is_ahead, "the master acknowledged what its replica has not got", seconds=30, every=0.2)
        assert redis_cluster.fail_over(master) is replica
        await_condition(
            lambda: any(
                each.code == REFUSED and LOST_WRITES in each.last_line for one in aggregators for each in one.exits
            ),
            "a worker finds that writes are lost",
            seconds=30,
        )
        for worker in workers:
            worker.await_ready()
        await_progress(deployment, deployment.applied())
    assert_right(deployment, publisher.published)
    with client(replica) as asked:
        assert asked.info("replication")["role"] == "master"
