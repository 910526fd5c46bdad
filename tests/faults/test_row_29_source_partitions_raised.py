"""Row 29: usage.events gets more partitions while traffic goes on; they are read, and asOf never runs ahead."""

from collections.abc import Callable

import pytest

from services.freshness import as_of_ms
from tests.faults.load import seeded_load
from tests.faults.publisher import Published, Publisher
from tests.faults.verdict import assert_right
from tests.faults.watching import Seen, Watch
from tests.support.deployment import PARTITIONS, Deployment
from tests.support.kafka_admin import raise_partitions

pytestmark = [pytest.mark.faults, pytest.mark.guarantee]

BEFORE, AFTER = 4, 7


def test_new_source_partitions_are_read_and_as_of_waits_for_them(deploy: Callable[..., Deployment]) -> None:
    deployment = deploy(topics__events_partitions=str(BEFORE))
    deployment.start("ingest", "aggregator")
    settings = deployment.settings
    with Watch(deployment) as watch:
        with Publisher(settings, seeded_load(29, 2_000, BEFORE), rate=500) as old:
            old.await_count(500)
            raise_partitions(settings, settings.topics.events, AFTER)
            with Publisher(settings, seeded_load(2_900, 2_000, AFTER), rate=1_000) as new:
                published = old.wait() + new.wait()
        # Watched to here: what is published is not yet applied, and the new partitions may not be known yet.
        assert_right(deployment, published)
    states = [state for state in deployment.states() if state is not None]
    assert [state.source_partitions[settings.topics.events] for state in states] == [AFTER] * PARTITIONS
    known = [seen for seen in watch.seen if as_of_ms(seen.state, settings.topics.events) is not None]
    assert {seen.state.source_partitions[settings.topics.events] for seen in known} == {BEFORE, AFTER}
    assert not [wrong for seen in known for wrong in ran_ahead(seen, settings.topics.events, published)]


def ran_ahead(seen: Seen, topic: str, published: list[Published]) -> list[str]:
    """Return the records that were not yet covered by a state whose asOf said that they were."""
    as_of = as_of_ms(seen.state, topic)
    assert as_of is not None
    covered = {
        partition: position.next_offset for (of, partition), position in seen.state.sources.items() if of == topic
    }
    return [
        f"slot {seen.slot}: asOf is {as_of - record.broker_ms} ms after {record.partition}/{record.offset}"
        for record in published
        if record.broker_ms < as_of and record.offset >= covered.get(record.partition, 0)
    ]
