"""Row 34: an event sent twice counts once, in one batch or two partitions; beyond the dedup window it counts again."""

from collections.abc import Callable, Sequence

import pytest
from redis import Redis

from tests.faults.events import chat, guide
from tests.faults.load import Planned
from tests.faults.publisher import Published, Publisher
from tests.faults.verdict import assert_right
from tests.support.deployment import Deployment
from tests.support.pipeline import await_condition
from tests.support.redis_server import RedisServer

pytestmark = [pytest.mark.faults, pytest.mark.guarantee]

WINDOW = {"events__max_age": "8s", "events__dedup_margin": "0s"}
"""Identities are kept for the sum of both."""


def test_copies_count_once_within_the_dedup_window_and_again_beyond_it(
    deploy: Callable[..., Deployment], redis: RedisServer
) -> None:
    deployment = deploy(**WINDOW)
    _, aggregator = deployment.start("ingest", "aggregator")
    copies = [Planned(partition=0, value=chat("one")), Planned(partition=1, value=chat("other"))]
    first = publish(deployment, [copies[0], copies[0], copies[1], Planned(partition=2, value=copies[1].value)])
    assert_right(deployment, first)
    assert interactions(deployment) == 2
    assert aggregator.metric("tidemark_events_total", result="duplicate") == 2
    assert (aggregator.metric("tidemark_duplicate_age_seconds_count") or 0) >= 1
    await_condition(lambda: not identities(redis), "the identities are forgotten", seconds=30)
    publish(deployment, [Planned(partition=3, value=chat("one"))])
    deployment.catch_up()
    assert interactions(deployment) == 3
    assert "One that comes later is counted again" in guide()


def publish(deployment: Deployment, planned: Sequence[Planned]) -> list[Published]:
    with Publisher(deployment.settings, planned) as publisher:
        return publisher.wait()


def interactions(deployment: Deployment) -> int:
    rows = [row for row in deployment.export() if row["window"] == "day" and row["user"] is None]
    return sum(row["metrics"]["chat"]["interactions"] for row in rows)


def identities(redis: RedisServer) -> list[bytes]:
    with Redis.from_url(redis.url) as client:
        return list(client.scan_iter("tm:{*}:e1:x:*"))
