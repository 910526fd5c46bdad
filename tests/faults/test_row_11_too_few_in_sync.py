"""Row 11: fewer replicas in sync than are wanted: nothing is acknowledged that one more death would lose."""

import logging
from collections.abc import Callable

import pytest

from tests.faults.away import assert_patient, assert_waiting_for, await_back, await_waiting
from tests.faults.load import seeded_load
from tests.faults.publisher import Publisher
from tests.faults.verdict import assert_right
from tests.support.deployment import Deployment
from tests.support.kafka_cluster import KafkaCluster
from tests.support.pipeline import await_condition

pytestmark = [pytest.mark.faults, pytest.mark.guarantee]

EVENTS = 4_000
RATE = 1_500
REFUSED = "NotEnoughReplicas"
REQUEST_TIMEOUT = "6s"
"""What a broker took before it noticed waits for so long; only what comes later is refused."""

HELD_SECONDS = 5
"""After ingest was seen waiting, which takes 5 s: what it sends is refused before this is over."""


def test_nothing_is_acknowledged_that_is_not_durable(
    cluster: KafkaCluster, deploy: Callable[..., Deployment], caplog: pytest.LogCaptureFixture
) -> None:
    deployment = deploy(kafka=cluster.bootstrap, topics__replication="3", kafka__request_timeout=REQUEST_TIMEOUT)
    workers = deployment.start("ingest", "aggregator")
    ingest = workers[0]
    topics = deployment.settings.topics
    with (
        caplog.at_level(logging.WARNING, logger="aiokafka"),
        Publisher(deployment.settings, seeded_load(11, EVENTS, 4), rate=RATE) as publisher,
    ):
        publisher.await_count(EVENTS // 3)
        for node in cluster.nodes[1:]:
            node.kill()
        await_condition(lambda: cluster.in_sync(topics.events) == 1, "one replica is left in sync", seconds=30)
        await_condition(lambda: REFUSED in caplog.text, "the publisher is refused", seconds=30)
        before = publisher.count
        assert before < EVENTS, "the brokers died after the work"
        await_waiting([ingest])
        applied = deployment.applied()
        assert_waiting_for([ingest], HELD_SECONDS)
        assert publisher.count == before, "acknowledged with one replica in sync"
        assert deployment.applied() == applied, "counted from one replica in sync"
        cluster.heal()
        published = publisher.wait()
    await_back(workers)
    assert_right(deployment, published)
    assert_patient(workers)
