"""Events per second against one thing at a time, everything else as in `make bench`, each on servers of its own."""

import asyncio
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from services import topics
from services.clock import now_ms
from services.settings import Settings
from services.simulated_population import SHAPES, Profile
from tests.bench.pipeline_run import PipelineRun, Workers, run_pipeline
from tests.bench.workload import Workload, publish_all
from tests.support import servers

BENCH = SHAPES[Profile.BENCH]
ONE_EACH = Workers()


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One run: what was varied, and what came of it."""

    x: float
    label: str
    run: PipelineRun
    events: int

    def figures(self) -> dict[str, Any]:
        found = {
            "x": self.x,
            "label": self.label,
            "eventsPerSecond": round(self.events / self.run.seconds),
        }
        # Of several ingest processes the first reads before the last has started, and before it is looked at.
        if "ingest-1" not in self.run.cpu_seconds:
            found["cpuSecondsPerMillionEvents"] = round(sum(self.run.cpu_seconds.values()) * 1e6 / self.events, 2)
        return found


def by_call(events: int) -> Iterator[Point]:
    """Vary the ids and cells that one script call may hold."""
    for items in (1_000, 2_500, 5_000, 10_000, 20_000, 50_000, 100_000):
        run = run_once(_workload(events), aggregator={"max_call_items": items})
        calls = run.stages["tidemark_events_per_call_count"]
        yield Point(
            x=run.stages["tidemark_events_per_call_sum"] / calls, label=f"{items:,} items", run=run, events=events
        )


def by_users(events: int) -> Iterator[Point]:
    """Vary the users of the same fifty organizations."""
    for users in (1_000, 5_000, 20_000, 100_000):
        workload = replace(_workload(events), shape=replace(BENCH, users=users))
        yield Point(x=users / len(BENCH.organizations), label=f"{users:,} users", run=run_once(workload), events=events)


def by_source_partitions(events: int) -> Iterator[Point]:
    for count in (1, 2, 4, 8):
        run = run_once(_workload(events), topics={"events_partitions": count})
        yield Point(x=count, label=str(count), run=run, events=events)


def by_frames_partitions(events: int) -> Iterator[Point]:
    for count in (4, 16, 64):
        run = run_once(_workload(events), topics={"frames_partitions": count})
        yield Point(x=count, label=str(count), run=run, events=events)


def by_workers(events: int) -> Iterator[Point]:
    for at, (ingest, aggregators) in enumerate([(1, 1), (2, 1), (1, 2), (2, 2)]):
        run = run_once(_workload(events), Workers(ingest=ingest, aggregators=aggregators))
        yield Point(x=at, label=f"{ingest} ingest, {aggregators} aggregator", run=run, events=events)


def _workload(events: int) -> Workload:
    return Workload(events=events, seed=11, end_ms=now_ms() // 1000 * 1000)


def run_once(workload: Workload, workers: Workers = ONE_EACH, **groups: dict[str, Any]) -> PipelineRun:
    broker = servers.start_broker()
    try:
        with tempfile.TemporaryDirectory(prefix="tidemark-curve-") as directory:
            named: Any = {"kafka": {"bootstrap_servers": broker.bootstrap}, **groups}
            settings = Settings(**named)
            asyncio.run(topics.create_missing(settings))
            asyncio.run(publish_all(settings, settings.topics.events, workload.lines()))
            return run_pipeline(settings, workload.events, workers, Path(directory), broker)
    finally:
        broker.close()
