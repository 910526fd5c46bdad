"""Row 24: a slot of a Redis Cluster moves to another master while it is written; every event counts once."""

from collections.abc import Callable, Iterator

import pytest

from aggregator.retrying import MAX_PAUSE_S
from services.clock import monotonic_s
from services.keyspace import slot_prefix, state_key, tags
from services.redis_slots import slot_of
from tests.faults.redis_states import await_progress, await_waits_for, lasting_load
from tests.faults.verdict import assert_right
from tests.support.deployment import PARTITIONS, Deployment
from tests.support.pipeline import await_condition
from tests.support.redis_cluster import RedisCluster, SlotMove, client, error_counts
from tests.support.worker import Worker

pytestmark = [pytest.mark.faults, pytest.mark.guarantee]

BEING_MOVED = "a slot of the Redis Cluster is being moved"
WORK_LIMIT_SECONDS = 5
"""After which the watchdog ends a worker whose partition stands still for no reason; a slot may take longer to move."""


@pytest.fixture
def cluster() -> Iterator[RedisCluster]:
    with RedisCluster.start_new() as cluster:
        yield cluster


def state_first(move: SlotMove, tag: str) -> None:
    """The state is on the new node, which takes every counter that has not come for absent."""
    move.move_key(state_key(tag))


def state_last(move: SlotMove, tag: str) -> None:
    """All but the state has gone."""
    with client(move.source) as here:
        keys = [key.decode() for key in here.scan_iter(f"{slot_prefix(tag)}*", count=5_000)]
    for key in keys:
        if key != state_key(tag):
            move.move_key(key)


def await_pauses(worker: Worker, seconds: float) -> None:
    """Wait until a worker has called in vain for at least so long: it pauses for up to 2 s between two calls."""

    def calls() -> float:
        return worker.metric("tidemark_store_retries_total") or 0

    known, began_s = calls(), monotonic_s()
    await_condition(
        lambda: calls() >= known + seconds / MAX_PAUSE_S and monotonic_s() - began_s >= seconds,
        f"{worker.name} waits for {seconds:g} s",
        seconds=4 * seconds,
    )


def await_answered(cluster: RedisCluster, before: dict[str, int], *words: str) -> None:
    """Wait until the nodes have answered each of these since `before`."""

    def are_answered() -> bool:
        now = error_counts(cluster.nodes)
        return all(now.get(word, 0) > before.get(word, 0) for word in words)

    await_condition(are_answered, f"{words} are answered", seconds=20)


def test_a_slot_that_moves_while_it_is_written_is_counted_once(
    deploy: Callable[..., Deployment], cluster: RedisCluster
) -> None:
    deployment = deploy(redis=cluster.url, watchdog__work_limit=f"{WORK_LIMIT_SECONDS}s")
    _, aggregator = deployment.start("ingest", "aggregator")
    with lasting_load(deployment, 24) as publisher:
        applied = await_progress(deployment, [-1] * PARTITIONS)
        for partition, in_part, answers in (
            (0, state_first, ("ASK", "TRYAGAIN")),
            (2, state_last, ("TRYAGAIN",)),
            (3, state_first, ("ASK", "TRYAGAIN")),
        ):
            tag = tags(PARTITIONS)[partition]
            before = error_counts(cluster.nodes)
            move = cluster.moving(slot_of(state_key(tag)))
            in_part(move, tag)
            await_waits_for(aggregator, BEING_MOVED)
            await_answered(cluster, before, *answers)
            if in_part is state_last:
                await_pauses(aggregator, 2 * WORK_LIMIT_SECONDS)
            move.end()
            await_answered(cluster, before, "MOVED")
            assert cluster.master_of(move.slot) is move.target
            applied = await_progress(deployment, applied)
    assert_right(deployment, publisher.published)
    assert not aggregator.exits
