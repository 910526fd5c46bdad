"""Row 21: a key of ours has another type, or a counter no room; no run is half-written, and it is said."""

from collections.abc import Callable

import pytest

from services.identifiers import OrganizationId
from services.keyspace import partition_of, slot_prefix, tags
from services.metrics_contract import AMOUNT_MAX, COUNTER_MAX
from tests.faults.large_counters import CHARS, HOUR, raise_counters
from tests.faults.load import Planned
from tests.faults.publisher import Published, Publisher
from tests.faults.redis_states import REFUSED, client, logged
from tests.faults.verdict import assert_right
from tests.support.deployment import PARTITIONS, Deployment
from tests.support.event_lines import event_line
from tests.support.redis_server import RedisServer
from tests.support.worker import Worker

pytestmark = [pytest.mark.faults, pytest.mark.guarantee]

HOME = partition_of(OrganizationId("acme"), PARTITIONS)
SLOT = slot_prefix(tags(PARTITIONS)[HOME])
KINDS = ("d:acme/u/ann/", "x:")
ASIDE = "aside"
SAID = "somebody else writes under Tidemark's keys"


def publish(deployment: Deployment, *lines: bytes) -> list[Published]:
    with Publisher(deployment.settings, [Planned(partition=0, value=line) for line in lines]) as publisher:
        return publisher.wait()


def whole(redis: RedisServer) -> dict[bytes, object]:
    """Return all that the slot holds but its progress, which heartbeats move."""
    with client(redis) as asked:
        keys = [key for key in asked.scan_iter(f"{SLOT}*") if not key.endswith(b":state")]
        return {key: asked.dump(key) for key in keys}


def test_a_key_of_another_type_stops_the_partition_before_anything_is_written(
    deploy: Callable[..., Deployment], redis: RedisServer
) -> None:
    deployment = deploy()
    _, aggregator = deployment.start("ingest", "aggregator")
    published = publish(deployment, event_line("first", HOUR))
    deployment.catch_up()
    for kind in KINDS:
        published += assert_refused_until_mended(kind, deployment, redis, aggregator)
    assert_right(deployment, published)


def assert_refused_until_mended(
    kind: str, deployment: Deployment, redis: RedisServer, aggregator: Worker
) -> list[Published]:
    ends = len(aggregator.exits)
    with client(redis) as asked:
        # The shortest: of the dedup index a period's hash, which the worker knows and does not read again.
        key = min(asked.scan_iter(f"{SLOT}e1:{kind}*"), key=len)
        asked.rename(key, ASIDE)
        asked.set(key, "a stranger's")
        before = whole(redis)
        published = publish(deployment, event_line(f"after {kind}", HOUR))
        refused = aggregator.await_exit(ends + 1)
        assert refused.code == REFUSED
        assert refused.last_line.startswith(f"{key.decode()} in Redis is of another type")
        assert SAID in refused.last_line
        assert "nothing was applied" in refused.last_line
        # The next run reads it.
        again = aggregator.await_exit(ends + 2)
        assert (again.code, SAID in again.last_line) == (REFUSED, True)
        assert whole(redis) == before
        asked.delete(key)
        asked.rename(ASIDE, key)
    aggregator.await_ready()
    deployment.catch_up()
    return published


def test_a_counter_without_room_stays_at_its_limit_and_an_alarm_is_raised(
    deploy: Callable[..., Deployment], redis: RedisServer
) -> None:
    deployment = deploy()
    _, first = deployment.start("ingest", "aggregator")
    publish(deployment, event_line("one", HOUR, data={"interactions": 1, CHARS: 1}))
    deployment.catch_up()
    assert first.stop() == 0
    raised = raise_counters(redis, SLOT, COUNTER_MAX - AMOUNT_MAX + 1)
    second: Worker = deployment.start("aggregator")[0]
    publish(deployment, event_line("two", HOUR, data={"interactions": 1, CHARS: AMOUNT_MAX}))
    deployment.catch_up()
    cells = [row["metrics"]["chat"] for row in deployment.export()]
    assert [(cell[CHARS], cell["interactions"]) for cell in cells] == [(COUNTER_MAX, 2)] * raised
    assert second.metric("tidemark_saturated_counters_total") == raised
    [alarm] = logged(second, "counters_saturated")
    assert (alarm["level"], alarm["counters"]) == ("error", raised)
