"""Row 26: the topic of dead letters is missing or takes nothing: ingest stops and drops nothing."""

import asyncio
from collections.abc import Callable

import pytest

from services.lifecycle import Exit
from services.topics import create_missing
from tests.faults.frames_log import frames_of
from tests.faults.load import seeded_load
from tests.faults.publisher import Publisher
from tests.faults.verdict import assert_right
from tests.support.deployment import Deployment
from tests.support.groups import INGEST_GROUP
from tests.support.topic_changes import REFUSE_ALL, committed, configure, delete_topic

pytestmark = [pytest.mark.faults, pytest.mark.guarantee]

EVENTS = 3_000
IMPATIENT = {"ingest__delivery_timeout": "2s", "kafka__request_timeout": "2s"}
"""Of the run that waits in vain: in the others a slow broker may take longer to acknowledge."""


def test_without_its_dead_letter_topic_ingest_stops_and_drops_nothing(deploy: Callable[..., Deployment]) -> None:
    deployment = deploy()
    kafka, topics = deployment.settings.kafka.bootstrap_servers, deployment.settings.topics
    delete_topic(kafka, topics.dead_letters)
    with Publisher(deployment.settings, seeded_load(26, EVENTS, 4)) as publisher:
        published = publisher.wait()
    ingest = deployment.worker("ingest", restarts=False)

    for run, sentence in ((1, "not acknowledged for 2 s"), (2, "takes no record of this size")):
        ingest.start(**(IMPATIENT if run == 1 else {}))
        ended = ingest.await_exit(run)
        assert ended.code == Exit.REFUSED
        assert f"keeping a dead letter in {topics.dead_letters}" in ended.last_line
        assert sentence in ended.last_line
        assert committed(kafka, INGEST_GROUP, topics.events) == {}
        assert [each for each in frames_of(deployment) if each.frame.event_count] == []
        asyncio.run(create_missing(deployment.settings))
        configure(kafka, topics.dead_letters, REFUSE_ALL if run == 1 else {"max.message.bytes": "2097152"})

    ingest.start()
    deployment.start("aggregator")
    verdict = assert_right(deployment, published)
    assert verdict.redelivered == 0
