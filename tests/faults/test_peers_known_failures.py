"""The moments at which other metering engines lose or double usage, driven through Tidemark: its counters are right.

- OpenMeter #5118: an id is claimed before its event is produced; the produce fails, the retry is taken for a copy.
- OpenMeter #4902: an id is known although the row of its event is absent, after nodes were replaced.
- Lago (events-processor #735): a retryable failure skips the commit, and the next good batch commits past it.
- Flexprice (CreateEvent): an event is accepted although its publish failed; the failure is only logged.
"""

import asyncio
from collections.abc import Callable, Sequence

import pytest
from redis import Redis

from services.clock import now_ms
from services.crash_points import KILLED
from services.kafka import KafkaRefused
from services.lifecycle import Exit
from services.publishing import UsagePublisher
from tests.faults.frames_log import frames_of
from tests.faults.load import seeded_load
from tests.faults.publisher import Publisher
from tests.faults.verdict import assert_right
from tests.support.comparison import compare
from tests.support.deployment import Deployment
from tests.support.groups import INGEST_GROUP
from tests.support.oracle import Oracle
from tests.support.pipeline import await_condition
from tests.support.redis_server import RedisServer
from tests.support.topic_changes import REFUSE_ALL, committed, configure, ends
from tests.support.worker import Worker

pytestmark = [pytest.mark.faults, pytest.mark.guarantee]

TAKE_AGAIN = {"max.message.bytes": "1048576"}


def test_openmeter_5118_and_flexprice_what_failed_to_publish_is_told_and_counts_once_when_sent_again(
    deploy: Callable[..., Deployment],
) -> None:
    deployment = deploy()
    kafka, events = deployment.settings.kafka.bootstrap_servers, deployment.settings.topics.events
    deployment.start("ingest", "aggregator")
    lines = [planned.value for planned in seeded_load(5118, 1_000, 4)]
    half = len(lines) // 2
    assert asyncio.run(publish(deployment, lines[:half])) == half

    configure(kafka, events, REFUSE_ALL)
    before = ends(kafka, events)
    with pytest.raises(KafkaRefused, match=f"publishing to {events}"):
        asyncio.run(publish(deployment, lines[half:]))
    assert ends(kafka, events) == before
    configure(kafka, events, TAKE_AGAIN)

    # A producer service knows only that something failed: it sends everything again.
    assert asyncio.run(publish(deployment, lines)) == len(lines)
    assert_counted(deployment, lines)


def test_openmeter_5118_no_id_is_claimed_by_a_worker_that_dies_before_the_write(
    deploy: Callable[..., Deployment], redis: RedisServer
) -> None:
    deployment = deploy(aggregator__session_timeout="2s")
    aggregator = deployment.worker("aggregator", restarts=False)
    [ingest] = deployment.start("ingest")
    with Publisher(deployment.settings, seeded_load(5119, 1_000, 4)) as publisher:
        published = publisher.wait()
    await_condition(lambda: accepted(ingest) >= 1_000, "all events are in frames", seconds=30)
    for run in (1, 2):
        aggregator.start(testing__crash_point="aggregator.before_apply")
        assert aggregator.await_exit(run).code == KILLED
        assert ids_known(redis) == 0
    aggregator.start()
    verdict = assert_right(deployment, published)
    assert verdict.redelivered == 0


def test_openmeter_4902_every_id_that_is_known_has_its_event_counted_whatever_is_killed(
    deploy: Callable[..., Deployment], redis: RedisServer
) -> None:
    deployment = deploy(aggregator__session_timeout="2s")
    aggregator = deployment.worker("aggregator")
    deployment.start("ingest")
    load = seeded_load(4902, 3_000, 4)
    with Publisher(deployment.settings, load, rate=600) as publisher:
        aggregator.start(testing__crash_point="aggregator.after_reply:3")
        assert aggregator.await_exit(1).code == KILLED
        assert ids_known(redis) > 0
        aggregator.await_ready()
        redis.kill_when_written()
        aggregator.kill()
        aggregator.await_exit(2)
        redis.start()
        published = publisher.wait()
    assert_right(deployment, published)
    counted = ids_known(redis)
    assert counted == Oracle([record.value for record in published], now_ms()).good

    # All of it once more: each id is known, and nothing changes.
    totals = list(deployment.export())
    with Publisher(deployment.settings, load) as publisher:
        published += publisher.wait()
    assert_right(deployment, published)
    assert list(deployment.export()) == totals
    assert ids_known(redis) == counted


def test_lago_735_no_good_poll_commits_past_one_that_failed(deploy: Callable[..., Deployment]) -> None:
    deployment = deploy()
    kafka, topics = deployment.settings.kafka.bootstrap_servers, deployment.settings.topics
    [ingest, _] = deployment.start("ingest", "aggregator")
    with Publisher(deployment.settings, seeded_load(735, 2_000, 4), rate=1_000) as publisher:
        publisher.await_count(500)
        configure(kafka, topics.frames, REFUSE_ALL)
        for ended in (ingest.await_exit(1), ingest.await_exit(2)):
            assert ended.code == Exit.REFUSED
        held = committed(kafka, INGEST_GROUP, topics.events)
        # More good records come, and more runs of the worker that could commit past those that failed.
        published = publisher.wait()
        ingest.await_exit(len(ingest.exits) + 1)
        assert committed(kafka, INGEST_GROUP, topics.events) == held
        assert_in_frames(deployment, held)
        configure(kafka, topics.frames, TAKE_AGAIN)
    assert_right(deployment, published)


async def publish(deployment: Deployment, lines: Sequence[bytes]) -> int:
    """Publish as a product service does; return how many were accepted."""
    settings = deployment.settings
    async with UsagePublisher(settings.kafka, settings.topics.events) as publisher:
        for line in lines:
            await publisher.publish_raw(line, b"one partition")
        await publisher.flush()
        return publisher.acknowledged


def assert_counted(deployment: Deployment, lines: Sequence[bytes]) -> None:
    deployment.catch_up()
    comparison = compare(deployment.export(), Oracle(lines, now_ms()).rows())
    assert comparison.equal, comparison


def accepted(ingest: Worker) -> float:
    return ingest.metric("tidemark_events_total", result="accepted") or 0


def ids_known(redis: RedisServer) -> int:
    """Return how many identities the dedup indexes hold."""
    with Redis(port=redis.port) as client:
        return sum(client.scard(key) for key in client.scan_iter("tm:{*}:e*:x:*/*"))


def assert_in_frames(deployment: Deployment, committed_offsets: dict[int, int]) -> None:
    """Every record before a committed offset is in a frame."""
    brought = {at for each in frames_of(deployment) for at in each.coordinates()}
    topic = deployment.settings.topics.events
    missing = [
        (partition, offset)
        for partition, end in committed_offsets.items()
        for offset in range(end)
        if (topic, partition, offset) not in brought
    ]
    assert missing == []
