"""`make bench-stages`: microseconds that an event costs in each step of ingest, the aggregator and Redis.

The steps of the pipeline itself, in one process and one after the other, on the workload of `make bench`: what the
clients of Kafka and Redis, the event loops and the waiting take comes on top, and is the difference to that benchmark.
"""

import argparse
import asyncio
import gc
import json
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import wraps
from time import perf_counter
from typing import Any, Final

import redis
from rich.console import Console
from rich.table import Table

from aggregator import branch, folding
from aggregator.branch import Branch
from aggregator.stored_cells import StoredCells
from ingest.admission_of_many import AdmissionOfMany
from ingest.poll import Gathering
from services.clock import now_ms
from services.identifiers import PartitionId
from services.redis_client import connect
from services.redis_counters import RedisCounterStore
from services.settings import RedisSettings, Settings
from tests.bench import machine
from tests.bench.alone import AggregatorAlone, IngestAlone, Record
from tests.bench.workload import Workload
from tests.support import servers

FINGERPRINT: Final = "f"
PARTITION: Final = PartitionId(0)
POLLS: Final = 20_000


@dataclass(slots=True)
class Steps:
    """Seconds of each step, without those of the steps within it."""

    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    _under_way: list[float] = field(default_factory=list)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        self._under_way.append(0.0)
        began = perf_counter()
        try:
            yield
        finally:
            took = perf_counter() - began
            self.seconds[name] += took - self._under_way.pop()
            if self._under_way:
                self._under_way[-1] += took

    def watch(self, owner: object, attribute: str, name: str) -> None:
        """Let each call of a function or method be a step."""
        function: Callable[..., Any] = getattr(owner, attribute)

        @wraps(function)
        def watched(*args: Any, **kwargs: Any) -> Any:
            with self.step(name):
                return function(*args, **kwargs)

        setattr(owner, attribute, watched)


def main() -> int:
    options = _options()
    if missing := servers.missing_for_guarantees():
        _say(f"Redis is measured on a real one only: {missing}")
        return 1
    workload = Workload(events=options.events, seed=options.seed, end_ms=now_ms() // 1000 * 1000)
    records = [Record(at, workload.end_ms, line) for at, line in enumerate(workload.lines())]
    _say(f"made {len(records):,} events")
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    ingest, logs = _ingest(records)
    largest = max(logs, key=lambda log: sum(map(len, log)))
    aggregator, store, counted = asyncio.run(_aggregate(largest))
    found = {
        "ingest": _rounded(ingest.seconds, len(records)),
        "aggregator": _rounded(aggregator.seconds, counted),
        "redis": _rounded(store, counted),
    }
    if options.json:
        sys.stdout.write(json.dumps({"microsecondsPerEvent": found, "machine": machine.describe()}) + "\n")
    else:
        _print(found)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tests.bench.stages", description=__doc__)
    parser.add_argument("--events", type=int, default=600_000)
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def _ingest(records: Sequence[Record]) -> tuple[Steps, list[list[bytes]]]:
    """Return the steps of ingest, and each partition's frames."""
    steps, settings = Steps(), Settings()
    steps.watch(AdmissionOfMany, "_decode", "decode the JSON")
    steps.watch(AdmissionOfMany, "_suspect", "look for keys that come twice")
    steps.watch(AdmissionOfMany, "_strange", "check the ids")
    steps.watch(AdmissionOfMany, "_far", "read and check the times")
    steps.watch(Gathering, "_table", "columns, and the identities' hashes")
    logs: list[list[bytes]] = [[] for _ in range(settings.topics.frames_partitions)]
    for poll in IngestAlone(settings, steps.step).polls(records):
        for log, frames in zip(logs, poll, strict=True):
            log.extend(frames)
    return steps, logs


async def _aggregate(log: Sequence[bytes]) -> tuple[Steps, dict[str, float], int]:
    """Fold a log as a worker that is behind does; return the steps, those of Redis, and how many events it held."""
    # One partition, as the largest is alone with its users.
    steps, settings = Steps(), Settings(topics={"frames_partitions": 1})
    steps.watch(folding, "lookup", "dedup: what is known")
    steps.watch(folding, "copies", "dedup: copies")
    steps.watch(folding, "additions", "dedup: what is new")
    steps.watch(folding, "tally", "ledger")
    steps.watch(branch, "sum_up", "sums")
    steps.watch(Branch, "ordinals", "users' ordinals")
    steps.watch(StoredCells, "__init__", "cells: keys, and what is known")
    steps.watch(StoredCells, "_write_counters", "cells: add and pack")
    steps.watch(StoredCells, "_write_actives", "cells: active users")
    server = servers.start_redis()
    client = connect(RedisSettings(url=server.url))
    store = RedisCounterStore(client, 1)
    try:
        aggregator = AggregatorAlone(store, settings, steps.step)
        await aggregator.begin()
        await aggregator.apply(PARTITION, log)
        with redis.Redis.from_url(server.url) as asked:
            commands: Any = asked.info("commandstats")
        spent = {name.removeprefix("cmdstat_"): each["usec"] / 1e6 for name, each in commands.items()}
        inner = {name: spent.get(name, 0.0) for name in ("hset", "sadd", "hlen", "scard", "expireat", "hgetall")}
        return steps, inner | {"scripts themselves": spent["evalsha"] - sum(inner.values())}, aggregator.work.events
    finally:
        await client.aclose()
        server.close()


def _rounded(seconds: dict[str, float], events: int) -> dict[str, float]:
    each = {name: round(value * 1e6 / events, 2) for name, value in sorted(seconds.items(), key=lambda row: -row[1])}
    return each | {"all": round(sum(seconds.values()) * 1e6 / events, 2)}


def _print(found: dict[str, dict[str, float]]) -> None:
    console = Console(width=None if Console().is_terminal else 120, highlight=False)
    for role, steps in found.items():
        table = Table(title=f"{role}, microseconds an event")
        table.add_column("step")
        table.add_column("µs", justify="right")
        for name, value in steps.items():
            table.add_row(name, f"{value:.2f}")
        console.print(table)


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")


if __name__ == "__main__":
    sys.exit(main())
