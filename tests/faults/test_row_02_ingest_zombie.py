"""Row 2: ingest is frozen beyond its session, another takes over; thawed, it sends only what is counted already."""

from collections.abc import Callable

import pytest

from tests.faults.frames_log import LoggedFrame, frames_of, overtaken, repeated
from tests.faults.load import seeded_load
from tests.faults.publisher import Publisher
from tests.faults.verdict import assert_right
from tests.support.deployment import Deployment
from tests.support.groups import INGEST_GROUP
from tests.support.pipeline import await_condition
from tests.support.topic_changes import committed
from tests.support.worker import Worker

pytestmark = [pytest.mark.faults, pytest.mark.guarantee]

EVENTS = 6_000
SMALL_POLLS = "10"
"""So many records a poll: the frozen worker holds many fetched ones that it has yet to send."""


def test_a_frozen_ingest_that_comes_back_changes_no_total(deploy: Callable[..., Deployment]) -> None:
    deployment = deploy(ingest__session_timeout="2s", ingest__max_poll_records=SMALL_POLLS)
    with Publisher(deployment.settings, seeded_load(2, EVENTS, 4)) as publisher:
        published = publisher.wait()
    deployment.start("aggregator")
    zombie = deployment.worker("ingest")
    # Nothing is awaited between its start and its freezing: it would have sent everything.
    zombie.start()
    await_condition(lambda: (_accepted(zombie) or 0) >= 200, "some events are sent", seconds=30, every=0.01)
    zombie.freeze()
    settings = deployment.settings
    done = committed(settings.kafka.bootstrap_servers, INGEST_GROUP, settings.topics.events)
    assert 0 < sum(done.values()) < len(published)
    deployment.start("ingest")
    before = assert_right(deployment, published)
    totals = list(deployment.export())
    frames_before = repeated(frames_of(deployment))

    zombie.thaw()
    await_condition(lambda: repeated(frames_of(deployment)) > frames_before, "the zombie sends a frame", seconds=30)
    sent = frames_of(deployment)
    await_condition(lambda: is_applied(deployment, sent), "what the zombie sent is applied", seconds=30)
    after = assert_right(deployment, published)
    assert zombie.exits == []
    frames = frames_of(deployment)
    # It may send more while the verdict is reached.
    assert before.redelivered == frames_before < repeated(sent) <= after.redelivered <= repeated(frames)
    assert overtaken(frames) == []
    assert list(deployment.export()) == totals


def is_applied(deployment: Deployment, frames: list[LoggedFrame]) -> bool:
    applied = deployment.applied()
    return all(each.offset <= applied[each.partition] for each in frames)


def _accepted(worker: Worker) -> float | None:
    return worker.metric("tidemark_events_total", result="accepted")
