"""`make bench`: the workload through the pipeline on Apache Kafka and Redis; see `python -m tests.bench --help`."""

import argparse
import asyncio
import gc
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis

from services import topics
from services.clock import now_ms
from services.lag import covered_up_to
from services.line_keys import organization_key
from services.publishing import UsagePublisher
from services.settings import Settings, environment
from services.simulated_population import Profile
from services.simulation import simulate
from services.stores import open_store, read_states
from tests.bench import machine, redis_memory, report
from tests.bench.role_process import RoleProcess
from tests.support import servers
from tests.support.comparison import Comparison, compare
from tests.support.oracle import Oracle
from tests.support.pipeline import TIDEMARK, clean_environment

POLL_SECONDS = 0.02
LIMIT_SECONDS = 900
PUSH_EVERY = 5_000


@dataclass(slots=True, kw_only=True)
class Bench:
    """What was asked for, and the figures as they come."""

    events: int
    seed: int
    ingest: int
    aggregators: int
    partitions: int
    end_ms: int
    seconds: float = 0.0
    cpu_seconds: dict[str, float] = field(default_factory=dict)
    memory: redis_memory.RedisMemory | None = None
    stages: dict[str, float] = field(default_factory=dict)
    comparison: Comparison | None = None
    good: int = 0
    copies: int = 0


def main() -> int:
    options = _options()
    bench = Bench(end_ms=now_ms() // 1000 * 1000, **{k: v for k, v in vars(options).items() if k != "json"})
    missing = servers.missing_for_guarantees()
    if missing:
        _say(f"the benchmark runs on real servers only: {missing}")
        return 1
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tidemark-bench-")))
        broker = servers.start_broker()
        stack.callback(broker.close)
        store = servers.start_redis()
        stack.callback(store.close)
        settings = _settings(bench, broker, store)
        asyncio.run(_preload(bench, settings))
        _measure(bench, settings, directory, {"broker": broker.pid, "redis": store.pid})
        _verify(bench, settings, directory)
    assert bench.comparison is not None
    if not bench.comparison.equal:
        _say(f"NOT EQUAL to the oracle, so no figures:\n{bench.comparison}")
        return 1
    figures = report.figures(bench) | {"machine": machine.describe() | _servers()}
    if options.json:
        sys.stdout.write(json.dumps(figures) + "\n")
    else:
        report.print_tables(figures)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tests.bench", description="events/s from a preloaded topic to Redis")
    parser.add_argument("--events", type=int, default=2_000_000)
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--ingest", type=int, default=1, help="processes")
    parser.add_argument("--aggregators", type=int, default=1, help="processes")
    parser.add_argument("--partitions", type=int, default=4, help="of usage.events")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def _settings(bench: Bench, broker: servers.Broker, store: servers.Redis) -> Settings:
    groups: Any = {
        "kafka": {"bootstrap_servers": broker.bootstrap},
        "redis": {"url": store.url},
        "topics": {"events_partitions": bench.partitions},
    }
    return Settings(**groups)


async def _preload(bench: Bench, settings: Settings) -> None:
    await topics.create_missing(settings)
    began = time.monotonic()
    async with UsagePublisher(settings.kafka, settings.topics.events) as publisher:
        for number, line in enumerate(_lines(bench), start=1):
            await publisher.publish_raw(line, organization_key(line))
            if number % PUSH_EVERY == 0:
                await asyncio.sleep(0)
        await publisher.flush()
        assert publisher.acknowledged == bench.events
    _say(f"preloaded {bench.events:,} events in {time.monotonic() - began:.0f} s")


def _lines(bench: Bench) -> Iterator[bytes]:
    return simulate(Profile.BENCH, bench.seed, bench.events, bench.end_ms)


def _measure(bench: Bench, settings: Settings, directory: Path, server_pids: dict[str, int]) -> None:
    """Run the roles over the topic; the clock runs from before the first poll to the last counter visible."""
    client = redis.Redis.from_url(settings.redis.url)
    empty = redis_memory.used_memory(client)
    variables = environment(settings)
    with _running("aggregator", bench.aggregators, directory, variables) as aggregators:
        for each in aggregators:
            each.wait_until_ready()
        with _running("ingest", bench.ingest, directory, variables) as ingest:
            began = min(each.started_at() for each in ingest)
            processes = [*ingest, *aggregators]
            pids = {each.name: each.pid for each in processes} | server_pids
            before = {name: machine.cpu_seconds(pid) for name, pid in pids.items()}
            ended = asyncio.run(_until_applied(bench, settings, processes))
            bench.seconds = ended - began
            bench.cpu_seconds = {name: machine.cpu_seconds(pid) - before[name] for name, pid in pids.items()}
            for each in aggregators:
                for name, value in each.sums().items():
                    bench.stages[name] = bench.stages.get(name, 0) + value
    bench.memory = redis_memory.measure(client, empty)
    client.close()


@contextmanager
def _running(role: str, count: int, directory: Path, variables: dict[str, str]) -> Iterator[Sequence[RoleProcess]]:
    processes: list[RoleProcess] = []
    try:
        processes += [RoleProcess(role, number, directory, variables) for number in range(count)]
        yield processes
    finally:
        for each in processes:
            each.stop()


async def _until_applied(bench: Bench, settings: Settings, processes: Sequence[RoleProcess]) -> float:
    """Return the UNIX time at which every record was seen to be covered in every slot."""
    deadline = time.monotonic() + LIMIT_SECONDS
    topic = settings.topics.events
    async with open_store(settings) as store:
        while True:
            states = await read_states(store, settings.topics.frames_partitions)
            applied = sum(covered_up_to(states, topic, number) or 0 for number in range(bench.partitions))
            if applied >= bench.events:
                return time.time()
            for each in processes:
                each.check_running()
            assert time.monotonic() < deadline, f"only {applied:,} applied after {LIMIT_SECONDS} s"
            await asyncio.sleep(POLL_SECONDS)


def _verify(bench: Bench, settings: Settings, directory: Path) -> None:
    """Compare every cell with the oracle's."""
    _say(f"measured; now the oracle counts {bench.events:,} events by brute force")
    file = directory / "export.ndjson"
    command = [*TIDEMARK, "counters", "export", "--out", str(file)]
    subprocess.run(command, check=True, env=clean_environment(environment(settings)), timeout=LIMIT_SECONDS)
    # Millions of small objects without a cycle among them: looking for cycles would take most of the time.
    gc.disable()
    counted = Oracle(_lines(bench), broker_ms=bench.end_ms)
    assert counted.bad == 0
    with file.open("rb") as rows:
        bench.comparison = compare(map(json.loads, rows), counted.rows())
    bench.good, bench.copies = counted.good, counted.copies


def _servers() -> dict[str, str]:
    return {"broker": servers.find_broker().name, "redis": servers.find_redis().name}


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")


if __name__ == "__main__":
    sys.exit(main())
