"""Row 3: frame n fails and n+1 would succeed: the worker ends, and nothing after n is produced to that partition."""

import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from services.clock import now_ms
from services.lifecycle import Exit
from tests.faults.frames_log import frames_of, overtaken
from tests.faults.load import Planned, seeded_load
from tests.faults.publisher import Publisher
from tests.faults.verdict import assert_right
from tests.support.deployment import Deployment
from tests.support.groups import INGEST_GROUP
from tests.support.oracle import to_text
from tests.support.pipeline import await_condition
from tests.support.servers import Broker
from tests.support.topic_changes import committed, configure
from tests.support.worker import Worker

pytestmark = [pytest.mark.faults, pytest.mark.guarantee]

FRAME_EVENTS = 500
LIMIT = 20_000


def test_nothing_follows_a_frame_that_is_too_large_and_a_smaller_setting_splits_it(
    deploy: Callable[..., Deployment],
) -> None:
    deployment = deploy(ingest__max_frame_events=str(FRAME_EVENTS))
    kafka, topics = deployment.settings.kafka.bootstrap_servers, deployment.settings.topics
    configure(kafka, topics.frames, {"max.message.bytes": str(LIMIT)})
    with Publisher(deployment.settings, large_then_small()) as publisher:
        published = publisher.wait()
    ingest = deployment.worker("ingest", restarts=False)
    for run in (1, 2):
        ingest.start()
        ended = ingest.await_exit(run)
        assert ended.code == Exit.REFUSED
        assert topics.frames in ended.last_line
        assert ended.last_line.endswith("set its max.message.bytes to what `tidemark topics check` wants")
        assert [each for each in frames_of(deployment) if each.frame.event_count] == []
        assert committed(kafka, INGEST_GROUP, topics.events) == {}

    ingest.start(ingest__max_frame_bytes="10000")
    deployment.start("aggregator")
    assert_right(deployment, published)
    frames = [each for each in frames_of(deployment) if each.frame.event_count]
    assert len(frames) > 3
    assert all(each.size < LIMIT for each in frames)
    # The second frame, which was not sent after the first had failed, would have been taken.
    assert frames[-1].frame.event_count == FRAME_EVENTS
    assert ingest.running


def test_a_frame_that_is_not_acknowledged_in_time_ends_the_worker_and_is_sent_first_by_the_next(
    deploy: Callable[..., Deployment], kafka: Broker
) -> None:
    deployment = deploy(ingest__delivery_timeout="1s")
    unacknowledged = f"of {deployment.settings.topics.frames}: not acknowledged for 1 s"
    ingest = deployment.worker("ingest", variables={"kafka__request_timeout": "2s"})
    ingest.start()
    deployment.start("aggregator")
    with Publisher(deployment.settings, seeded_load(3, 5_000, 4), rate=800) as publisher:
        await_condition(lambda: is_in_full_swing(ingest), "events go through", seconds=30)
        # The broker may stand still between a frame's acknowledgement and the commit, which ends it too: then again.
        while not ingest.exits or unacknowledged not in ingest.exits[-1].last_line:
            ingest.await_ready()
            with standing_still(kafka):
                # One that ended by itself just before starts without a broker, for which it waits a minute.
                ended = ingest.await_exit(len(ingest.exits) + 1, seconds=120)
            assert ended.code == Exit.REFUSED
        published = publisher.wait()
    assert_right(deployment, published)
    assert overtaken(frames_of(deployment)) == []


def is_in_full_swing(ingest: Worker) -> bool:
    return (ingest.metric("tidemark_events_total", result="accepted") or 0) > 800


@contextmanager
def standing_still(broker: Broker) -> Iterator[None]:
    os.kill(broker.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(broker.pid, signal.SIGCONT)


def large_then_small() -> list[Planned]:
    """One organization's events in one partition: a frame of long names, then one of a single short name."""
    time = to_text(now_ms())
    return [
        Planned(
            partition=0,
            value=json.dumps(
                {
                    "specversion": "1.0",
                    "id": str(at),
                    "source": "s",
                    "type": "usage.chat",
                    "time": time,
                    "subject": f"{at:0>120}" if at < FRAME_EVENTS else "ann",
                    "organizationid": "acme",
                    "data": {"interactions": 1},
                }
            ).encode(),
        )
        for at in range(2 * FRAME_EVENTS)
    ]
