"""`python -m tests.bench.unit_costs`: what a cell, a read and the like cost, for `services.capacity.costs`.

Runs of different users, organizations, days and indexes through the steps of the pipeline in one process on a real
Redis (`tests.bench.alone`), processor time only, and by least squares what one of each costs.
"""

import argparse
import asyncio
import gc
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

import numpy as np
import redis

from services.capacity.cells import touched
from services.capacity.redis_sizes import Numbers
from services.clock import now_ms
from services.dedup_index import PERIOD_MS
from services.identifiers import PartitionId
from services.redis_client import connect
from services.redis_counters import RedisCounterStore
from services.settings import RedisSettings, Settings
from services.simulated_population import SHAPES, Profile, Shape
from services.windows import DAY_MS
from tests.bench import machine, redis_memory
from tests.bench.alone import NEW, AggregatorAlone, IngestAlone, Memories, Record, Work, fill_sets
from tests.bench.redis_memory import RedisMemory
from tests.bench.workload import Workload
from tests.support import servers

BENCH: Final = SHAPES[Profile.BENCH]


def shape_of(users: int, organizations: int = 50, teams: int = 500, days: float = 3) -> Shape:
    """Return the benchmark's shape with other numbers."""
    names = tuple(f"org-{rank:02d}" for rank in range(1, organizations + 1))
    return replace(BENCH, users=users, organizations=names, teams=teams, span_ms=int(days * DAY_MS))


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What is run.

    Attributes:
        polls_together: whose frames wait when a partition has its turn: what ingest packs in so many of its polls.
    """

    shape: Shape = BENCH
    events: int = 150_000
    partitions: int = 16
    max_items: int = 20_000
    polls_together: int = 8
    memories: Memories = NEW

    def settings(self) -> Settings:
        return Settings(
            topics={"frames_partitions": self.partitions},
            aggregator={"max_call_items": self.max_items},
        )

    def workload(self) -> Workload:
        # To the end of a day, so that it is known how many days and months it touches.
        return Workload(events=self.events, seed=11, end_ms=now_ms() // DAY_MS * DAY_MS - 1, shape=self.shape)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Microseconds of processor time an event, what was done, and what Redis holds then.

    Attributes:
        reference_s: what a fixed piece of work took just before and after: beside other load all takes longer.
    """

    run: Run
    ingest: float
    aggregator: float
    redis: float
    frames: int
    frame_bytes: float
    polls: int
    reference_s: float
    work: Work
    memory: RedisMemory
    keys: int


RUNS: Final = (
    Run(),
    # As dense as `make bench`: few of the hashes that its events touch are new.
    Run(shape=shape_of(20_000, days=0.9), events=600_000),
    Run(shape=shape_of(1_000)),
    Run(shape=shape_of(1_000), memories=Memories(ranges=1_000, ids=160)),
    Run(shape=shape_of(1_000), memories=Memories(ranges=1_000, ids=160, call_s=60)),
    Run(shape=shape_of(3_000, days=20), polls_together=1, memories=Memories(fields=6_000)),
    Run(shape=shape_of(5_000, days=1), polls_together=1, memories=Memories(fields=2_000)),
    Run(shape=shape_of(500, days=25), polls_together=1, memories=Memories(fields=3_000)),
    Run(shape=shape_of(5_000), max_items=5_000),
    Run(shape=shape_of(100_000)),
    Run(partitions=64, polls_together=2),
    Run(shape=shape_of(20_000, organizations=1_000, teams=2_000, days=1)),
)


def main() -> int:
    options = _options()
    if missing := servers.missing_for_guarantees():
        sys.stderr.write(f"Redis is measured on a real one only: {missing}\n")
        return 1
    measured = []
    for _ in range(options.rounds):
        for run in RUNS:
            measured.append(asyncio.run(measure(run)))
            sys.stderr.write(json.dumps(row_of(measured[-1])) + "\n")
    found = {role: fitted(measured, role) for role in ("ingest", "aggregator", "redis")}
    sys.stdout.write(json.dumps({"microseconds": found, "machine": machine.describe()}, indent=1) + "\n")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tests.bench.unit_costs", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="over all runs; processor time varies with the hour")
    return parser.parse_args()


async def measure(run: Run) -> Measured:
    """Run it on a Redis of its own."""
    settings, workload = run.settings(), run.workload()
    records = [Record(at, workload.end_ms, line) for at, line in enumerate(workload.lines())]
    gc.freeze()
    server = servers.start_redis()
    client = connect(RedisSettings(url=server.url))
    try:
        with redis.Redis.from_url(server.url) as asked:
            # As in `make bench`: a child that rewrites the file would be counted, and not each time.
            asked.config_set("auto-aof-rewrite-min-size", "4gb")
            aggregator = AggregatorAlone(RedisCounterStore(client, run.partitions), settings, memories=run.memories)
            await aggregator.begin()
            if run.memories.ranges:
                fill_sets(asked, settings, sorted(_periods(workload)), run.memories)
            empty = redis_memory.used_memory(asked)
            reference_s = machine.reference_seconds()
            began = time.process_time()
            polls = list(IngestAlone(settings).polls(records))
            packed = time.process_time()
            redis_began = machine.running_seconds(server.pid)
            for start in range(0, len(polls), run.polls_together):
                for number in range(run.partitions):
                    waiting = [frame for poll in polls[start : start + run.polls_together] for frame in poll[number]]
                    await aggregator.apply(PartitionId(number), waiting)
            ended = time.process_time()
            redis_s = machine.running_seconds(server.pid) - redis_began
            frames = [frame for poll in polls for partition in poll for frame in partition]
            return Measured(
                run=run,
                ingest=(packed - began) * 1e6 / run.events,
                aggregator=(ended - packed) * 1e6 / run.events,
                redis=redis_s * 1e6 / run.events,
                frames=len(frames),
                frame_bytes=sum(map(len, frames)) / run.events,
                polls=len(polls),
                reference_s=(reference_s + machine.reference_seconds()) / 2,
                work=aggregator.work,
                memory=redis_memory.measure(asked, empty),
                keys=int(asked.dbsize()),
            )
    finally:
        await client.aclose()
        server.close()
        gc.unfreeze()


def _periods(workload: Workload) -> set[int]:
    first, last = (ms // PERIOD_MS for ms in (workload.end_ms - workload.shape.span_ms, workload.end_ms))
    return set(range(first, last + 1))


INGEST_UNITS: Final = ("event", "string", "fresh", "frame")
UNITS: Final = ("event", "cell", "begun", "read", "field", "set", "call", "frame")


def row_of(measured: Measured) -> dict[str, Any]:
    """Return what was measured as a row: microseconds, and how many of each unit an event had."""
    work, run = measured.work, measured.run
    events = work.events
    return {
        "users": run.shape.users,
        "organizations": len(run.shape.organizations),
        "days": round(run.shape.span_ms / DAY_MS),
        "memories": asdict(run.memories),
        "reference_s": round(measured.reference_s, 4),
        "ingest": round(measured.ingest, 2),
        "aggregator": round(measured.aggregator, 2),
        "redis": round(measured.redis, 2),
        "event": 1.0,
        "string": work.strings / events,
        # Whoever is drawn for the first time.
        "fresh": run.shape.users * float(touched(events / run.shape.users)) / events,
        "cell": work.cells / events,
        "begun": work.begun / events,
        "read": (work.reads - work.begun) / events,
        "field": work.fields / events,
        "set": (work.sets + work.asked) / events,
        "call": work.calls / events,
        "frame": work.frames / events,
    }


def fitted(measured: Sequence[Measured], role: str) -> dict[str, float]:
    """Return the microseconds of one of each unit, none below 0, so that the relative errors' squares are least."""
    rows = [row_of(each) for each in measured]
    names = INGEST_UNITS if role == "ingest" else UNITS
    counts = np.array([[row[name] for name in names] for row in rows])
    least_s = min(row["reference_s"] for row in rows)
    spent = np.array([row[role] * least_s / row["reference_s"] for row in rows])
    costs = _least_squares(counts / spent[:, None], np.ones(len(rows)))
    return {name: round(float(cost), 3) for name, cost in zip(names, costs, strict=True)}


def _least_squares(matrix: Numbers, wanted: Numbers) -> Numbers:
    """Return the least-squares solution without negative numbers: the most negative ones are left out first."""
    used = list(range(matrix.shape[1]))
    while True:
        found = np.linalg.lstsq(matrix[:, used], wanted, rcond=None)[0]
        if (found >= 0).all():
            break
        del used[int(np.argmin(found))]
    costs = np.zeros(matrix.shape[1])
    costs[used] = found
    return costs


if __name__ == "__main__":
    sys.exit(main())
