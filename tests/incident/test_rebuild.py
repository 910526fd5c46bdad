"""Counters that were tampered with are found by `verify` and mended by `rebuild`, while traffic and readers go on."""

import asyncio
import itertools
import json
import os
import re
import signal
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import redis

from aggregator import rebuilding, shadow
from aggregator.shadow import Shadow
from aggregator.shadow_run import ShadowRun
from aggregator.verifying import verify
from services.clock import now_ms
from services.counter_codec import pack, unpack
from services.keyspace import partition_of
from services.metrics_contract import CHAT, PRODUCTS
from services.stores import open_store, read_states
from services.verification import Difference, Part, Verification
from services.windows import rfc3339
from tests.support.comparison import compare
from tests.support.event_lines import event_line
from tests.support.oracle import DAY_MS, HOUR_MS, Oracle, to_ms
from tests.support.pipeline import TIDEMARK, PipelineUnderTest, clean_environment, running_pipeline
from tests.support.records import Record, produce
from tests.support.servers import Broker
from tests.support.topic_changes import delete_records
from tests.support.usage_answers import ask, served

pytestmark = [pytest.mark.e2e, pytest.mark.guarantee, pytest.mark.slow]

PARTITIONS = 8
EVENTS = 20_000
BATCH = 80
BATCH_SECONDS = 0.1
READ_SECONDS = 0.02
KILLED = 137
SOON_GONE_SECONDS = 600
"""What expires before may do so while the test runs."""


@pytest.mark.timeout(240)
def test_tampered_counters_are_found_and_mended_while_traffic_and_readers_go_on(
    tmp_path: Path, kafka: Broker, redis_url: str
) -> None:
    with (
        running_pipeline(tmp_path, kafka.bootstrap, redis_url, topics__frames_partitions=str(PARTITIONS)) as pipeline,
        redis.Redis.from_url(redis_url) as held,
    ):
        file = tmp_path / "events.ndjson"
        pipeline.run("simulate", "--seed", "11", "--events", str(EVENTS), "--out", file)
        pipeline.run("simulate", "--directory")
        counted = Oracle(file.read_bytes().splitlines())
        pipeline.publish(file)
        pipeline.catch_up()
        before = keys(held)
        lasting = {key for key in before if not 0 <= held.ttl(key) < SOON_GONE_SECONDS}
        assert found_by_verify(pipeline) == Counter()
        assert lasting <= keys(held) <= before, "verify left something behind, or took something away"

        watched = tamper(held, counted)
        found = found_by_verify(pipeline, code=1)
        assert found["counters"] == found["ids"] == found["users"] == found["directory"] == 1
        assert set(found) == {"counters", "ids", "users", "directory", "activeUsers"}

        killed(pipeline, "verify", "aggregator.after_ack:5")
        left = keys(held) - before
        assert len(left) > 100
        ends = {key: held.ttl(key) for key in left}
        # -1 is for ever; -2 is gone by now, as the run's lease of 3 s may be.
        assert {key: ttl for key, ttl in ends.items() if ttl == -1 or ttl > 6 * 3600 + 60} == {}

        with live_traffic(pipeline, kafka, counted), reading(pipeline, counted, watched) as mended:
            killed(pipeline, "rebuild", "rebuild.after_swap:3", "--yes")
            assert 3 <= sum(epoch != 1 for epoch in epochs(held)) < PARTITIONS
            pipeline.run("rebuild", "--yes")
            assert min(epochs(held)) > 1
            assert found_by_verify(pipeline) == Counter()
            assert mended.wait(10), "no reader ever saw the right number"
        pipeline.catch_up()
        result = compare(pipeline.export(), counted.rows())
        assert result.equal, f"{result}\n{pipeline.log()}"
        assert strays(held) == set()


@pytest.mark.timeout(120)
async def test_of_a_log_that_begins_late_what_it_decides_is_verified_and_mended_and_the_rest_is_carried_over(  # noqa: PLR0915 -- a story
    tmp_path: Path, kafka: Broker, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Else what is sound would lie a day ahead.
    monkeypatch.setattr(shadow, "COPY_MS", -4 * HOUR_MS)
    with (
        running_pipeline(tmp_path, kafka.bootstrap, redis_url, topics__frames_partitions="2") as pipeline,
        redis.Redis.from_url(redis_url) as held,
    ):
        now = now_ms() // 1000 * 1000

        def publish(hours_ago: int, user: str, numbers: range = range(5)) -> None:
            lines = [event_line(f"{hours_ago}-{n}", now - hours_ago * HOUR_MS, subject=user) for n in numbers]
            produce(kafka.bootstrap, pipeline.topics["events"], map(Record, lines))
            pipeline.catch_up()

        publish(30, "early")
        await truncate(kafka, pipeline)
        publish(1, "late")
        publish(30, "latecomer", range(5, 6))

        async def verified() -> tuple[Verification, list[Difference]]:
            found = await verify(pipeline.settings(), [0, 1], 1.0, lambda _: None)
            # The hour of the records that came with the frames that are gone would not be sound either.
            return found, [each for each in found.differences if each.part is not Part.LEDGER]

        found, differences = await verified()
        assert differences == []
        assert found.cells > 8
        assert len(found.unverified) == 2
        assert "begins at offset" in found.unverified[0]
        for hours_ago in (30, 1):
            hour = (now - hours_ago * HOUR_MS) // HOUR_MS
            [key] = held.scan_iter(f"tm:*:e1:h:acme/{hour // 24}")
            held.hset(key, str(hour % 24 * len(PRODUCTS) + CHAT.code), pack(np.full((1, 9), 7), 9)[0])
        [index] = held.scan_iter("tm:*:e1:i:acme/t/core")
        held.hdel(index, "early", "late")
        _, differences = await verified()
        late = rfc3339((now - HOUR_MS) // HOUR_MS * HOUR_MS)
        in_hour = [each for each in differences if each.place.get("window") == "hour"]
        assert {(each.part, each.place["start"], each.place["team"]) for each in in_hour} == {
            (Part.COUNTERS, late, None),
            (Part.ACTIVE_USERS, late, "core"),
        }

        async def swap_after_more(run: ShadowRun, shadow: Shadow) -> None:
            if shadow.partition == partition_of("acme", 2):
                await asyncio.to_thread(publish, 30, "latecomer", range(6, 7))
            await swap(run, shadow)

        swap = rebuilding._swap
        monkeypatch.setattr(rebuilding, "_swap", swap_after_more)
        rebuilt = await rebuilding.rebuild(pipeline.settings(), [0, 1], 1.0, lambda _: None, trust_log=False)
        assert len(rebuilt.unverified) == 2
        assert min(epochs(held)) > 1
        assert (await verified())[1] == []
        rows = list(pipeline.export())
        # The late hour is right again, the early one is as it was found; of whom nobody knows the name one knows still.
        assert {told_of(row, now) for row in rows if row["window"] == "hour" and row["user"] is None} == {
            (30, None, 7 + 1, 2),
            (30, "core", 5 + 2, 2),
            (1, None, 5, 1),
            (1, "core", 5, 1),
        }
        assert {row["user"] for row in rows if row["user"]} == {"early", "late", "latecomer"}
        publish(30, "early", range(2))
        publish(1, "late")
        assert list(pipeline.export()) == rows, "what was counted before the log begins is known no more"

        replace_by_another_log(pipeline, held)
        pipeline.catch_up()
        # Of the early events the log holds two copies, and those of the latecomer.
        assert {told_of(row, now) for row in pipeline.export() if row["window"] == "hour" and row["team"]} == {
            (30, "core", 2 + 2, 2),
            (1, "core", 5, 1),
        }


def told_of(row: Mapping[str, Any], now: int) -> tuple[int, str | None, int, int]:
    """Return how many hours ago a row's hour began, its team, the interactions, and how many users were active."""
    hours_ago = now // HOUR_MS - to_ms(row["start"]) // HOUR_MS
    return hours_ago, row["team"], row["metrics"]["chat"]["interactions"], row["metrics"]["activeUsers"]


def replace_by_another_log(pipeline: PipelineUnderTest, held: redis.Redis) -> None:
    """Let the counters be those of another log while nobody applies: only --trust-log replaces them."""
    [worker] = pipeline.pids("aggregator")
    os.kill(worker, signal.SIGSTOP)
    try:
        for key in held.scan_iter("tm:*:state"):
            held.hset(key, "frame", "12345")
        before = epochs(held)
        for command in (["verify"], ["rebuild", "--yes"]):
            assert "log_diverged" in pipeline.run(*command, code=3).err
        assert epochs(held) == before
        pipeline.run("rebuild", "--yes", "--trust-log")
        assert min(epochs(held)) > max(before)
    finally:
        os.kill(worker, signal.SIGCONT)


async def truncate(kafka: Broker, pipeline: PipelineUnderTest) -> None:
    """Take all applied frames away; there comes one a second, and without one that is not applied there is a gap."""
    settings = pipeline.settings()
    async with open_store(settings) as store:
        states = await read_states(store, settings.topics.frames_partitions)
    begins = {number: state.applied_offset + 1 for number, state in enumerate(states) if state is not None}
    delete_records(kafka.bootstrap, settings.topics.frames, begins)


def found_by_verify(pipeline: PipelineUnderTest, code: int = 0) -> Counter[str]:
    """Return how many differences `verify` finds in which part."""
    answer = json.loads(pipeline.run("verify", "--json", "--redis-share", "1", code=code).out)
    assert answer["partitions"] == PARTITIONS
    assert answer["cells"] > 10_000
    assert answer["ids"] > EVENTS
    assert answer["unverified"] == []
    assert answer["differing"] == len(answer["differences"])
    return Counter(each["part"] for each in answer["differences"])


def tamper(held: redis.Redis, counted: Oracle) -> tuple[str, str]:
    """Alter a counter, and take an identity, a user and a record away; return the first two's organizations."""
    begin_ms, end_ms = counted.span_ms()
    organizations = sorted({scope[0] for scope in counted.scopes()})
    altered, bereft = organizations[0], organizations[1]
    key, field, value = next(
        (key, int(field), value)
        for key in held.scan_iter(f"tm:*:e1:d:{altered}/[0-9]*", count=1000)
        for field, value in held.hgetall(key).items()
        if begin_ms + DAY_MS < day_ms(int(key.rpartition(b"/")[2]), int(field)) < end_ms - 2 * DAY_MS
    )
    amounts = unpack([cast(bytes, value)])
    amounts[0, 0] += 1000
    held.hset(key, str(field), pack(amounts, len(PRODUCTS[field % len(PRODUCTS)].counters))[0])

    a_set = next(held.scan_iter("tm:*:e1:x:*/0/*", count=1000))
    assert held.spop(a_set)

    [index] = held.scan_iter(f"tm:*:e1:i:{bereft}", count=1000)
    user = next(name for name in held.hkeys(index) if name != b"/count")
    assert held.hdel(index, user) == 1

    bucket = next(held.scan_iter("tm:*:e1:r:*", count=1000))
    assert held.hdel(bucket, held.hkeys(bucket)[0]) == 1
    return altered, bereft


def day_ms(month: int, field: int) -> int:
    first = f"{1970 + month // 12:04}-{month % 12 + 1:02}-01T00:00:00Z"
    return to_ms(first) + field // len(PRODUCTS) * DAY_MS


def killed(pipeline: PipelineUnderTest, command: str, point: str, *options: str) -> None:
    """Run a command that dies at a point, without any clean-up."""
    done = subprocess.run(
        [*TIDEMARK, command, *options, "--redis-share", "1", "--state-file", str(pipeline.state_file)],
        env=clean_environment({"TIDEMARK_TESTING__CRASH_POINT": point}),
        cwd=pipeline.directory,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == KILLED, done


@contextmanager
def live_traffic(pipeline: PipelineUnderTest, kafka: Broker, counted: Oracle) -> Iterator[None]:
    """Produce events of other organizations, into all partitions, while the block lasts."""
    done = threading.Event()

    def traffic() -> None:
        numbers = itertools.count()
        while not done.wait(BATCH_SECONDS):
            now = now_ms() // 1000 * 1000
            lines = [
                event_line(
                    f"live-{n}", now - n % 7 * HOUR_MS, organizationid=f"live-{n % 40}", subject=f"user-{n // 90}"
                )
                for n in itertools.islice(numbers, BATCH)
            ]
            produce(kafka.bootstrap, pipeline.topics["events"], map(Record, lines))
            for line in lines:
                counted.add(line)

    producing = threading.Thread(target=traffic)
    producing.start()
    try:
        yield
    finally:
        done.set()
        producing.join(30)


@contextmanager
def reading(pipeline: PipelineUnderTest, counted: Oracle, organizations: tuple[str, str]) -> Iterator[threading.Event]:
    """Ask for whole organizations over and over; yield what is set once all of them are right.

    An answer is what it was before the rebuild, or what the oracle says, and from then on nothing else.
    """
    begin_ms, end_ms = counted.span_ms()
    end_ms -= 2 * DAY_MS
    done, mended = threading.Event(), threading.Event()
    failures: list[str] = []
    answers: Counter[str] = Counter()

    clients = {name: pipeline.client(name) for name in organizations}

    def blocks(organization: str) -> Any:
        return ask(clients[organization], (organization, None, None), "all", begin_ms, end_ms)

    right = {
        name: [served(each) for each in counted.blocks((name, None, None), "all", begin_ms, end_ms, now_ms=end_ms)]
        for name in organizations
    }
    wrong: Mapping[str, Any] = {name: blocks(name) for name in organizations}
    assert wrong[organizations[0]] != right[organizations[0]]

    def read() -> None:
        is_right = dict.fromkeys(organizations, False)
        while not done.wait(READ_SECONDS):
            for name in organizations:
                found = blocks(name)
                answers[name] += 1
                if found == right[name]:
                    is_right[name] = True
                elif found != wrong[name] or is_right[name]:
                    failures.append(f"{name}: {found}")
            if all(is_right.values()):
                mended.set()

    reader = threading.Thread(target=read)
    reader.start()
    try:
        yield mended
    finally:
        done.set()
        reader.join(30)
        for client in clients.values():
            client.close()
    assert not failures, failures[:3]
    assert min(answers.values()) > 30


def keys(held: redis.Redis) -> set[bytes]:
    """Return all keys but the one that numbers the epochs."""
    return set(held.scan_iter("tm:*", count=5000)) - {b"tm:shadow-epoch"}


def epochs(held: redis.Redis) -> list[int]:
    return [int(held.hget(key, "epoch") or 0) for key in held.scan_iter("tm:*:state", count=5000)]


def strays(held: redis.Redis) -> set[bytes]:
    """Return the keys that belong to no live epoch, and are not of the deployment as a whole."""
    live = {key.removesuffix(b"state"): held.hget(key, "epoch") for key in held.scan_iter("tm:*:state", count=5000)}
    known = {b"tm:partitions"} | {prefix + b"state" for prefix in live}
    return {
        key
        for key in keys(held) - known
        if not (named := re.match(rb"(tm:\{[^}]+\}:)e(\d+):", key)) or live[named[1]] != named[2]
    }
