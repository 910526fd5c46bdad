"""Row 41: records of exactly the broker's size limit: the good one is counted, the bad one kept whole."""

import asyncio
from collections.abc import Callable

import pytest

from tests.faults.load import Planned, seeded_load
from tests.faults.publisher import Published, Publisher
from tests.faults.verdict import assert_right
from tests.support.deployment import Deployment
from tests.support.largest_record import LIMIT, fill_the_limit

pytestmark = [pytest.mark.faults, pytest.mark.guarantee]


def test_records_of_exactly_the_limit_are_counted_or_kept_and_the_worker_goes_on(
    deploy: Callable[..., Deployment],
) -> None:
    deployment = deploy(events__max_bytes=str(LIMIT))
    [ingest, _] = deployment.start("ingest", "aggregator")
    first, *load = seeded_load(41, 1_000, 4)
    published = publish_largest(deployment, first, b"rubbish")
    with Publisher(deployment.settings, load) as publisher:
        published += publisher.wait()
    verdict = assert_right(deployment, published)
    assert verdict.redelivered == 0
    assert ingest.exits == []


def publish_largest(deployment: Deployment, good: Planned, bad: bytes) -> list[Published]:
    """Publish both, filled up to the limit; the broker would take no byte more."""
    settings = deployment.settings
    published = []
    for value, headers in ((good.value, ()), (bad, (("from", b"a test"),))):
        filled, sent = asyncio.run(
            fill_the_limit(settings.kafka.bootstrap_servers, settings.topics.events, value, list(headers))
        )
        published.append(
            Published(
                partition=sent.partition,
                offset=sent.offset,
                broker_ms=sent.timestamp,
                value=filled,
                key=None,
                headers=headers,
            )
        )
    return published
