"""Row 32: retention takes records that ingest has yet to read: the loss is counted and told, the rest is counted."""

from collections.abc import Callable, Sequence

import pytest

from tests.faults.load import Planned, seeded_load
from tests.faults.publisher import Published, Publisher
from tests.faults.redis_states import logged
from tests.faults.verdict import assert_right
from tests.support.deployment import Deployment
from tests.support.groups import INGEST_GROUP
from tests.support.topic_changes import committed, delete_records, ends

pytestmark = [pytest.mark.faults, pytest.mark.guarantee]

EVENTS = 1_500


def test_what_retention_took_is_told_partition_by_partition_and_the_rest_is_right(
    deploy: Callable[..., Deployment],
) -> None:
    deployment = deploy()
    kafka, events = deployment.settings.kafka.bootstrap_servers, deployment.settings.topics.events
    [ingest, _] = deployment.start("ingest", "aggregator")
    published = publish(deployment, seeded_load(32, EVENTS, 4))
    assert_right(deployment, published)
    ingest.stop()
    published += publish(deployment, seeded_load(33, EVENTS, 4))

    begin, end = committed(kafka, INGEST_GROUP, events), ends(kafka, events)
    # Of partition 0 a part, of partition 1 all there is: nothing comes to tell of that loss.
    taken = {0: (begin[0] + end[0]) // 2, 1: end[1]}
    delete_records(kafka, events, taken)
    lost = {partition: before - begin[partition] for partition, before in taken.items()}
    [ingest] = deployment.start("ingest")

    assert_right(deployment, [each for each in published if not is_lost(each, begin, taken)])
    for partition in range(4):
        counted = ingest.metric("tidemark_lost_records_total", topic=events, partition=str(partition))
        assert counted == lost.get(partition)
    told = {
        line["partition"]: (line["records"], line["from_offset"])
        for line in logged(ingest, "records_lost_to_retention")
    }
    assert told == {partition: (lost[partition], begin[partition]) for partition in taken}


def publish(deployment: Deployment, planned: Sequence[Planned]) -> list[Published]:
    with Publisher(deployment.settings, planned) as publisher:
        return publisher.wait()


def is_lost(record: Published, begin: dict[int, int], taken: dict[int, int]) -> bool:
    return begin[record.partition] <= record.offset < taken.get(record.partition, 0)
