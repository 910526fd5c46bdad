"""The whole of Tidemark on a Redis Cluster: what two workers of each role count, also through a failover under load."""

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from services.clock import now_ms
from services.keyspace import partition_of, state_key, tags
from services.redis_slots import slot_of
from tests.faults.redis_states import LOST_WRITES, REFUSED, await_progress, lasting_load
from tests.faults.verdict import assert_right
from tests.support.deployment import PARTITIONS, Deployment
from tests.support.oracle import DAY_MS, to_text
from tests.support.pipeline import await_condition
from tests.support.ports import free_ports
from tests.support.redis_cluster import NODE_TIMEOUT_SECONDS, RedisCluster, held
from tests.support.redis_server import RedisServer, bundled_valkey
from tests.support.servers import Broker

pytestmark = [pytest.mark.scaleout, pytest.mark.guarantee, pytest.mark.timeout(300)]

ROLES = ("ingest", "ingest", "aggregator", "aggregator", "api")
RANGE = {"from": to_text(now_ms() - DAY_MS), "to": to_text(now_ms())}
ORGANIZATIONS = [f"organization-{number}" for number in range(10)]
PATIENCE_SECONDS = 30
ANSWER_SECONDS = 4.0
"""0.7 s are a request's time; the rest is for a machine at work."""

LOST_FRAMES = 3
"""That a replica lacks of each of its partitions, at least."""


@pytest.fixture
def deploy(tmp_path: Path, kafka: Broker, redis_cluster: RedisCluster) -> Iterator[Callable[..., Deployment]]:
    """Makes deployments on the session's broker and cluster; keyword arguments are settings."""
    made: list[Deployment] = []

    def make(**settings: str) -> Deployment:
        deployment = Deployment(tmp_path, kafka.bootstrap, **({"redis": redis_cluster.url} | settings)).begin()
        made.append(deployment)
        return deployment

    yield make
    for deployment in made:
        deployment.close()


@pytest.fixture
def valkeys() -> Iterator[RedisCluster]:
    with RedisCluster.start_new(bundled_valkey()) as cluster:
        yield cluster


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
            seconds=60,
        )
        for worker in workers:
            worker.await_ready()
        await_progress(deployment, deployment.applied())
    assert_right(deployment, publisher.published)
    assert replica in redis_cluster.masters()


def test_slots_that_a_valkey_gives_away_in_one_step_cost_no_count(
    deploy: Callable[..., Deployment], valkeys: RedisCluster
) -> None:
    deployment = deploy(redis=valkeys.url)
    _, aggregator = deployment.start("ingest", "aggregator")
    with lasting_load(deployment, 9) as publisher:
        applied = await_progress(deployment, [-1] * PARTITIONS)
        for tag in tags(PARTITIONS):
            valkeys.give_at_once(slot_of(state_key(tag)))
            applied = await_progress(deployment, applied)
    assert_right(deployment, publisher.published)
    assert not aggregator.exits


def test_a_frozen_master_costs_the_answers_of_its_organizations_only_and_none_takes_long(
    deploy: Callable[..., Deployment], redis_cluster: RedisCluster
) -> None:
    deployment = deploy(api__port=str(free_ports(1)[0]))
    deployment.start("ingest", "aggregator", "api")
    with lasting_load(deployment, 11):
        await_progress(deployment, [-1] * PARTITIONS)
    deployment.catch_up()
    frozen = redis_cluster.master_of(slot_of(state_key(tags(PARTITIONS)[0])))
    with ExitStack() as stack:
        clients = {name: stack.enter_context(deployment.client(name)) for name in ORGANIZATIONS}
        there = [name for name in ORGANIZATIONS if lies_on(redis_cluster, name, frozen)]
        elsewhere = [name for name in ORGANIZATIONS if name not in there]
        assert {ask(client, name) for name, client in clients.items()} == {404}
        replica = redis_cluster.replica_of(frozen)
        # The cluster is not to take it for failed yet, which would end the answers of all until its replica serves.
        redis_cluster.be_patient(PATIENCE_SECONDS)
        frozen.freeze()
        stack.callback(frozen.thaw)
        with ThreadPoolExecutor(len(ORGANIZATIONS)) as pool:
            asked = {name: pool.submit(ask, client, name) for name, client in clients.items()}
        assert {asked[name].result() for name in there} == {503}
        assert {asked[name].result() for name in elsewhere} == {404}
        redis_cluster.be_patient(NODE_TIMEOUT_SECONDS)
        redis_cluster.await_promoted(replica)
        await_condition(lambda: ask(clients[there[0]], there[0]) == 404, "its replica is asked", seconds=60)


def lies_on(cluster: RedisCluster, organization: str, node: RedisServer) -> bool:
    tag = tags(PARTITIONS)[partition_of(organization, PARTITIONS)]
    return cluster.master_of(slot_of(state_key(tag))) is node


def ask(client: httpx.Client, organization: str) -> int:
    """Ask for usage that nobody had; return the status of an answer that came within the time for one."""
    parameters = {"organizationId": organization, "granularity": "all"}
    answer = client.get("/api/v1/organization/usage", params=parameters | RANGE)
    assert answer.elapsed.total_seconds() < ANSWER_SECONDS
    return answer.status_code
