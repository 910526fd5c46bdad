"""Counters whose key layout a newer release has raised: this one says which release to install, and touches nothing."""

from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest
from redis import Redis

from services.keyspace import LAYOUT, state_key, tags
from tests.faults.redis_states import REFUSED, await_progress, client, lasting_load
from tests.faults.refusals import assert_refused, assert_refuses_to_start
from tests.faults.verdict import assert_right
from tests.scaleout.deploying import ask, blocks_of, deployed
from tests.support.deployment import PARTITIONS
from tests.support.pipeline import await_condition
from tests.support.ports import free_ports
from tests.support.redis_server import RedisServer
from tests.support.servers import Broker

pytestmark = [pytest.mark.scaleout, pytest.mark.guarantee, pytest.mark.timeout(400)]

NEWER = LAYOUT + 1
SAID = (f"key layout {NEWER}", f"reads up to {LAYOUT}", "install Tidemark 9.9.0 or later; nothing was changed")
STATE = state_key(tags(PARTITIONS)[2])


def test_an_old_release_on_a_newer_layout_stops_changes_nothing_and_loses_nothing(
    kafka: Broker, tmp_path: Path
) -> None:
    ports = free_ports(2)
    with (
        RedisServer.start_new() as redis,
        deployed(tmp_path / "d", kafka.bootstrap, redis.url, api__port=str(ports[0])) as deployment,
        client(redis) as asked,
    ):
        _, aggregator, api = deployment.start("ingest", "aggregator", "api")
        with lasting_load(deployment, 63) as publisher:
            await_progress(deployment, [-1] * PARTITIONS, 3)
            before = raise_layout(asked)
            # The aggregator that runs finds another epoch, and its next run finds the layout.
            assert_refused(aggregator.await_exit(1), *SAID)
            await_condition(lambda: SAID[2] in api.waits_for(), "the API says why it is not ready", seconds=60)
            held = contents(asked)
            assert_refused(aggregator.await_exit(2), *SAID)
            assert_refuses_to_start(
                deployment.worker("api", restarts=False, variables={"api__port": str(ports[1])}), *SAID
            )
            for command in (["counters", "export"], ["verify"], ["rebuild", "--yes"]):
                refused = deployment.run(*command, code=REFUSED)
                assert all(words in refused.err for words in SAID)
                assert "Traceback" not in refused.err
            assert contents(asked) == held
            assert asked.hget(STATE, "cur") == before[b"cur"]
            # The newer release would go on from here; that its layout is this one's after all stands for it.
            lower_layout(asked, before)
            aggregator.await_ready()
            await_progress(deployment, deployment.applied())
        assert_right(deployment, publisher.published)
        assert blocks_of(ask(deployment, ports[0]))


def raise_layout(asked: Redis) -> dict[bytes, bytes]:
    """Do to one partition what a newer release does when it swaps in an epoch of its layout; return what was there."""
    swapped = asked.register_script(
        "local before = redis.call('HGETALL', KEYS[1]);"
        "redis.call('HSET', KEYS[1], 'epoch', '1000', 'layout', ARGV[1], 'release', '9.9.0'); return before"
    )
    flat = swapped(keys=[STATE], args=[NEWER])
    return dict(zip(flat[::2], flat[1::2], strict=True))


def lower_layout(asked: Redis, before: dict[bytes, bytes]) -> None:
    asked.hset(STATE, mapping={name: before[name] for name in (b"epoch", b"layout", b"release")})


def contents(asked: Redis) -> dict[bytes, object]:
    """Return everything of Tidemark's in a server."""
    read: dict[bytes, Callable[[bytes], object]] = {
        b"hash": asked.hgetall,
        b"set": lambda key: frozenset(asked.smembers(key)),
        b"string": asked.get,
    }
    return {key: read[cast(bytes, asked.type(key))](key) for key in sorted(asked.scan_iter("tm:*", count=1000))}
