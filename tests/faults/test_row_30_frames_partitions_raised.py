"""Row 30: the frames topic gets more partitions; no role starts on it, and those that run count nothing wrongly."""

from collections.abc import Callable

import pytest

from tests.faults.load import seeded_load
from tests.faults.publisher import Publisher
from tests.faults.refusals import assert_refuses_to_start
from tests.faults.verdict import assert_right
from tests.support.deployment import PARTITIONS, Deployment
from tests.support.kafka_admin import raise_partitions

pytestmark = [pytest.mark.faults, pytest.mark.guarantee]

RAISED = PARTITIONS + 2
EVENTS = 3_000


def test_a_raised_partition_count_is_refused_at_start_and_counts_nothing_wrongly(
    deploy: Callable[..., Deployment],
) -> None:
    deployment = deploy()
    settings = deployment.settings
    running = deployment.start("ingest", "aggregator")
    with Publisher(settings, seeded_load(30, EVENTS, 4), rate=1_000) as publisher:
        publisher.await_count(EVENTS // 3)
        raise_partitions(settings, settings.topics.frames, RAISED)
        for role in ("ingest", "aggregator"):
            assert_refuses_to_start(
                deployment.worker(role, restarts=False),
                f"topic {settings.topics.frames} has partitions {RAISED}, but {PARTITIONS} is wanted",
                "P and the policy are fixed for a deployment",
            )
        published = publisher.wait()
    # What ran before goes on: ingest names the partition of each frame by the settings' count, not by the topic's.
    assert_right(deployment, published)
    assert not [worker.exits for worker in running if worker.exits]
    for worker in running:
        worker.kill()
        assert worker.await_exit(2).code == 3
