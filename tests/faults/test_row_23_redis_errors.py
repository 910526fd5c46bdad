"""Row 23: each error of Redis that may pass is waited for, and exact; one that nobody knows ends the worker."""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from hashlib import sha1
from importlib.resources import files

import pytest
from redis import Redis
from redis.exceptions import RedisError

from tests.faults.redis_states import (
    REFUSED,
    await_progress,
    await_waits_for,
    client,
    lasting_load,
)
from tests.faults.verdict import assert_right
from tests.support.deployment import PARTITIONS, Deployment
from tests.support.pipeline import await_condition
from tests.support.redis_server import RedisServer

pytestmark = [pytest.mark.faults, pytest.mark.guarantee]

SCRIPT = sha1(files("services").joinpath("lua", "apply.lua").read_bytes(), usedforsecurity=False).hexdigest()
SLOWLY = ["--key-load-delay", "20000", "--loading-process-events-interval-bytes", "1024"]
"""20 ms a key, and answers meanwhile: longer than the longest pause of a worker's retries."""
ENDLESS = "while true do end"
NOBODY = 1
"""A port where nothing listens."""


@contextmanager
def read_only(redis: RedisServer) -> Iterator[None]:
    with client(redis) as asked:
        asked.replicaof("127.0.0.1", NOBODY)
        yield
        asked.replicaof("no", "one")


@contextmanager
def master_down(redis: RedisServer) -> Iterator[None]:
    with client(redis) as asked:
        asked.config_set("replica-serve-stale-data", "no")
        with read_only(redis):
            yield
        asked.config_set("replica-serve-stale-data", "yes")


@contextmanager
def busy(redis: RedisServer) -> Iterator[None]:
    """Somebody's script does not end."""

    def run() -> None:
        with client(redis) as asked, suppress(RedisError):
            asked.eval(ENDLESS, 0)

    with client(redis) as asked:
        asked.config_set("lua-time-limit", 50)
        running = threading.Thread(target=run, name="endless script")
        running.start()
        yield
        asked.script_kill()
        running.join()


@contextmanager
def silent(redis: RedisServer) -> Iterator[None]:
    redis.freeze()
    yield
    redis.thaw()


@contextmanager
def loading(redis: RedisServer) -> Iterator[None]:
    """The server starts and reads its file slowly, for as long as it takes to be noticed."""
    with client(redis) as asked:
        # One snapshot of all keys: between commands of an append-only file Redis answers every 1,024th time only.
        asked.bgrewriteaof()
        await_condition(lambda: not is_rewriting(asked), "the file is rewritten", seconds=20)
    redis.kill_when_written()
    redis.arguments = SLOWLY
    starting = threading.Thread(target=redis.start, name="slow start")
    starting.start()
    yield
    with client(redis) as asked:
        asked.config_set("key-load-delay", 0)
    starting.join()


def is_rewriting(asked: Redis) -> bool:
    held = asked.info("persistence")
    return bool(held["aof_rewrite_in_progress"] or held["aof_rewrite_scheduled"])


Fault = Callable[[RedisServer], AbstractContextManager[None]]

PASSING: dict[str, Fault] = {
    "read only replica": read_only,
    "Link with MASTER is down": master_down,
    "Redis is busy running a script": busy,
    "Timeout": silent,
    "loading the dataset": loading,
}
"""What the worker waits for -> how Redis comes to it."""


def test_what_may_pass_is_waited_for_and_what_nobody_knows_ends_the_worker(
    deploy: Callable[..., Deployment], redis: RedisServer
) -> None:
    deployment = deploy(redis__timeout="1s")
    _, aggregator = deployment.start("ingest", "aggregator")
    with lasting_load(deployment, 23) as publisher:
        applied = await_progress(deployment, [-1] * PARTITIONS)
        for reason, fault in PASSING.items():
            with fault(redis):
                await_waits_for(aggregator, reason)
            applied = await_progress(deployment, applied)
        assert (aggregator.metric("tidemark_store_retries_total") or 0) >= len(PASSING)

        with client(redis) as asked:
            with asked.pipeline() as at_once:  # the worker may load it again between two calls
                at_once.script_flush()
                at_once.script_exists(SCRIPT)
                assert at_once.execute()[1] == [False]
            await_condition(lambda: asked.script_exists(SCRIPT) == [True], "the script is loaded again", seconds=20)
            applied = await_progress(deployment, applied)
            assert not aggregator.exits

            asked.execute_command("ACL", "SETUSER", "default", "-evalsha")
            died = aggregator.await_exit()
            asked.execute_command("ACL", "SETUSER", "default", "+evalsha")
        assert died.code == REFUSED
        assert died.last_line.startswith("Redis does not let this user do it: ")
        assert "evalsha" in died.last_line
        await_progress(deployment, applied)
    assert_right(deployment, publisher.published)
