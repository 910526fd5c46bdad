"""Row 9: a broker does nothing more, or nothing reaches it, with every connection open: workers wait and go on."""

from collections.abc import Callable

import pytest

from tests.faults.away import NOTICING, assert_patient, assert_waiting_for, await_back, await_waiting
from tests.faults.conftest import FULL
from tests.faults.load import seeded_load
from tests.faults.publisher import Publisher
from tests.faults.verdict import assert_right
from tests.support.deployment import Deployment
from tests.support.proxied_kafka import ProxiedKafka

pytestmark = [pytest.mark.faults, pytest.mark.guarantee]

EVENTS = 4_000
RATE = 1_500
REQUEST_TIMEOUT = "30s" if FULL else "6s"
OUTAGE_SECONDS = 60 if FULL else 5
"""After the workers were seen waiting, which takes 5 s and more: longer in all than a request may take."""


def test_workers_wait_for_a_frozen_broker_and_go_on(broker: ProxiedKafka, deploy: Callable[..., Deployment]) -> None:
    deployment = deploy(kafka=broker.bootstrap, kafka__request_timeout=REQUEST_TIMEOUT, **NOTICING)
    workers = deployment.start("ingest", "aggregator")
    with Publisher(deployment.settings, seeded_load(9, EVENTS, 4), rate=RATE) as publisher:
        publisher.await_count(EVENTS // 3)
        broker.freeze()
        await_waiting(workers)
        before = publisher.count
        assert_waiting_for(workers, OUTAGE_SECONDS)
        assert publisher.count == before < EVENTS, "the broker was frozen after the work, or not at all"
        broker.thaw()
        await_back(workers)
        published = publisher.wait()
    assert_right(deployment, published)
    assert_patient(workers)


def test_workers_wait_while_nothing_reaches_the_broker(broker: ProxiedKafka, deploy: Callable[..., Deployment]) -> None:
    deployment = deploy(kafka=broker.proxied, kafka__request_timeout=REQUEST_TIMEOUT, **NOTICING)
    workers = deployment.start("ingest", "aggregator")
    load = seeded_load(93, EVENTS, 4)
    with Publisher(deployment.settings, load, rate=RATE, bootstrap=broker.bootstrap) as publisher:
        publisher.await_count(EVENTS // 3)
        broker.proxy.drop()
        await_waiting(workers)
        applied = deployment.applied()
        published = publisher.wait()
        assert_waiting_for(workers, OUTAGE_SECONDS)
        assert deployment.applied() == applied, "something reached the broker"
        broker.proxy.restore()
        await_back(workers)
    assert_right(deployment, published)
    assert_patient(workers)
