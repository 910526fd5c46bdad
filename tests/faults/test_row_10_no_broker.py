"""Row 10: all brokers are down for long: the API serves the last numbers and says how old they are, workers wait."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from services.clock import now_ms
from tests.faults.away import (
    NOTICED_SECONDS,
    assert_patient,
    assert_waiting_for,
    await_back,
    await_waiting,
)
from tests.faults.conftest import FULL
from tests.faults.load import seeded_load
from tests.faults.publisher import Publisher
from tests.faults.verdict import assert_right
from tests.support.deployment import Deployment
from tests.support.kafka_cluster import KafkaCluster
from tests.support.oracle import DAY_MS, to_ms, to_text
from tests.support.ports import free_ports
from tests.support.process_memory import resident_bytes

pytestmark = [pytest.mark.faults, pytest.mark.guarantee, pytest.mark.timeout(600 if FULL else 400)]

EVENTS = 4_000
ORGANIZATION = "acme"
OUTAGE_SECONDS = 300 if FULL else 60
GROWTH_MAX = 1.1
DAYS_MS = tuple(now_ms() // DAY_MS * DAY_MS + days * DAY_MS for days in (-7, 1))
"""What is asked for: all that the load counts."""


def test_the_last_numbers_are_served_and_grow_old(
    cluster: KafkaCluster, deploy: Callable[..., Deployment], tell: Callable[[str], None]
) -> None:
    deployment = deploy(kafka=cluster.bootstrap, topics__replication="3", api__port=str(free_ports(1)[0]))
    workers = deployment.start("ingest", "aggregator")
    [api] = deployment.start("api")
    first, second = seeded_load(10, EVENTS, 4), seeded_load(103, EVENTS, 4)
    with Publisher(deployment.settings, first) as publisher:
        published = publisher.wait()
    deployment.catch_up()
    for node in cluster.nodes:
        node.kill()
    ends_s = time.monotonic() + OUTAGE_SECONDS
    await_waiting(workers)
    last = ask(deployment)
    held = {worker.name: (worker.pid, resident_bytes(worker.pid)) for worker in (*workers, api)}
    ages_ms = [now_ms() - to_ms(last["asOf"])]

    def serves_the_same() -> None:
        assert ask(deployment) == last
        ages_ms.append(now_ms() - to_ms(last["asOf"]))

    assert_waiting_for(workers, ends_s - time.monotonic(), serves_the_same)
    assert ages_ms[-1] - ages_ms[0] >= (OUTAGE_SECONDS - NOTICED_SECONDS) * 1000
    assert_patient(workers, OUTAGE_SECONDS)
    assert api.is_ready()
    assert not api.exits
    for worker in (*workers, api):
        pid, before = held[worker.name]
        if worker.pid == pid:
            after = resident_bytes(worker.pid)
            assert after <= before * GROWTH_MAX, f"{worker.name} grew from {before} to {after} bytes"
            tell(f"no broker for {OUTAGE_SECONDS} s: {worker.name} held {before / 1e6:.1f}, then {after / 1e6:.1f} MB")
    cluster.heal()
    await_back(workers)
    with Publisher(deployment.settings, second) as publisher:
        published += publisher.wait()
    assert_right(deployment, published)
    assert ask(deployment)["asOf"] > last["asOf"]


def ask(deployment: Deployment) -> dict[str, Any]:
    """Return the usage of the load's largest organization, with its age."""
    with deployment.client(ORGANIZATION) as client:
        range_ = {"from": to_text(DAYS_MS[0]), "to": to_text(DAYS_MS[1])}
        question = {"organizationId": ORGANIZATION, "granularity": "all"} | range_
        answer = client.get("/api/v1/organization/usage", params=question)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    assert answer.headers["Tidemark-As-Of"] == body["asOf"]
    return body
