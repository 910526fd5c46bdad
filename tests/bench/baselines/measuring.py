"""Runs a baseline over the first events of the workload, and checks what it counted."""

import json
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, cast

import redis

from tests.bench import machine
from tests.bench.baselines.increments import Sums, increments
from tests.support import servers

LIMIT_SECONDS: Final = 900
BASELINES: Final = ("faust_take", "aiokafka_pydantic")


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineRun:
    """What one baseline needed. `seconds` from the first batch to the last counter written; CPU in seconds."""

    name: str
    events: int
    seconds: float
    cpu_seconds: float
    redis_cpu_seconds: float


def run_baseline(name: str, bootstrap: str, topic: str, lines: Iterable[bytes]) -> BaselineRun:
    """Count a topic that holds exactly these events with a baseline, on a Redis of its own.

    Raises:
        AssertionError: a counter is not what brute force gives.
    """
    expected, events = _sums(lines)
    store = servers.start_redis()
    try:
        before = machine.cpu_seconds(store.pid)
        command = [sys.executable, "-m", f"tests.bench.baselines.{name}", bootstrap, topic, store.url, str(events)]
        ended = subprocess.run(command, check=True, capture_output=True, text=True, timeout=LIMIT_SECONDS)
        told = json.loads(ended.stdout.splitlines()[-1])
        redis_cpu_seconds = machine.cpu_seconds(store.pid) - before
        assert told["events"] == events
        with redis.Redis.from_url(store.url, decode_responses=True) as client:
            assert _held(client) == expected, f"{name} counted otherwise than brute force"
        return BaselineRun(
            name=name,
            events=events,
            seconds=told["seconds"],
            cpu_seconds=told["cpuSeconds"],
            redis_cpu_seconds=redis_cpu_seconds,
        )
    finally:
        store.close()


def _sums(lines: Iterable[bytes]) -> tuple[Sums, int]:
    """Return what counting every line, copies too, gives, and how many there are."""
    sums, events = Sums(), 0
    for line in lines:
        event = json.loads(line)
        time = datetime.fromisoformat(event["time"]).astimezone(UTC)
        for field, amount in increments(
            event["type"], event["organizationid"], event.get("teamid"), event["subject"], time, event["data"]
        ):
            sums[field] += amount
        events += 1
    return sums, events


def _held(client: "redis.Redis") -> Sums:
    sums = Sums()
    for key in client.scan_iter(count=5_000):
        for name, value in cast(dict[str, str], client.hgetall(key)).items():
            sums[str(key), name] = int(value)
    return sums
