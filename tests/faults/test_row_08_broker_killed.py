"""Row 8: a broker dies and comes back: what was to be sent is sent then, and nobody ends or starts again for it."""

from collections.abc import Callable

import pytest

from tests.faults.away import NOTICING, assert_patient, await_back, await_waiting
from tests.faults.load import seeded_load
from tests.faults.publisher import Publisher
from tests.faults.verdict import assert_right
from tests.support.deployment import Deployment
from tests.support.groups import AGGREGATOR_GROUP
from tests.support.kafka_cluster import KafkaCluster
from tests.support.proxied_kafka import ProxiedKafka

pytestmark = [pytest.mark.faults, pytest.mark.guarantee]

EVENTS = 4_000
RATE = 1_500


def test_workers_wait_for_a_killed_broker_and_go_on(broker: ProxiedKafka, deploy: Callable[..., Deployment]) -> None:
    deployment = deploy(kafka=broker.bootstrap, **NOTICING)
    workers = deployment.start("ingest", "aggregator")
    with Publisher(deployment.settings, seeded_load(8, EVENTS, 4), rate=RATE) as publisher:
        publisher.await_count(EVENTS // 3)
        broker.kill()
        await_waiting(workers)
        assert publisher.count < EVENTS, "the broker died after the work"
        broker.start()
        await_back(workers)
        published = publisher.wait()
    assert_right(deployment, published)
    assert_patient(workers)


def test_the_other_brokers_take_over_from_a_leader_and_coordinator(
    cluster: KafkaCluster, deploy: Callable[..., Deployment], tell: Callable[[str], None]
) -> None:
    deployment = deploy(kafka=cluster.bootstrap, topics__replication="3")
    workers = deployment.start("ingest", "aggregator")
    killed = cluster.coordinator(AGGREGATOR_GROUP)
    assert killed in cluster.leaders(deployment.settings.topics.frames)
    with Publisher(deployment.settings, seeded_load(83, EVENTS, 4), rate=RATE) as publisher:
        publisher.await_count(EVENTS // 3)
        cluster.node(killed).kill()
        assert publisher.count < EVENTS, "the broker died after the work"
        published = publisher.wait()
    verdict = assert_right(deployment, published)
    assert verdict.right
    assert killed not in cluster.leaders(deployment.settings.topics.frames)
    cluster.heal()
    assert_patient(workers)
