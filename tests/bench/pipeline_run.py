"""One run of the pipeline over the preloaded topic: processes, clock, what each process used, what Redis holds."""

import asyncio
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import redis

from services import topics
from services.lag import covered_up_to
from services.settings import Settings
from services.settings_loading import environment
from services.stores import open_store, read_states
from tests.bench import machine, redis_memory, script_calls
from tests.bench.role_process import RoleProcess
from tests.support import servers
from tests.support.pipeline import TIDEMARK, clean_environment
from tests.support.process_memory import peak_bytes

POLL_SECONDS: Final = 0.02
SELDOM_SECONDS: Final = 0.5
"""Between looks while much is left: to look at all slots costs a quarter as much as to count for that long."""
NEAR_THE_END: Final = 0.95
LIMIT_SECONDS: Final = 900
REWRITE_FROM: Final = "1gb"
"""Size of the append-only file from which Redis writes it anew; what `deploy/docs/performance.md` tells operators."""


def settings_of(broker: servers.Broker, partitions: int) -> Settings:
    """Return the settings of a run, with so many partitions of usage.events."""
    groups: Any = {"kafka": {"bootstrap_servers": broker.bootstrap}, "topics": {"events_partitions": partitions}}
    return Settings(**groups)


@dataclass(frozen=True, slots=True, kw_only=True)
class Workers:
    """How many processes of each role."""

    ingest: int = 1
    aggregators: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineRun:
    """What one run showed.

    Attributes:
        seconds: from before the first poll until every record was seen applied in every slot.
        cpu_seconds: of each process, in that time.
        peak_bytes: the largest resident size of each process, ever.
        memory: what Redis holds at the end.
        slowest_call_ms: the longest script call, as Redis tells it.
        stages: the aggregators' sums and counts of seconds a stage.
        export: file with every cell.
    """

    seconds: float
    cpu_seconds: Mapping[str, float]
    peak_bytes: Mapping[str, int]
    memory: redis_memory.RedisMemory
    slowest_call_ms: float
    stages: Mapping[str, float]
    export: Path


def run_pipeline(
    settings: Settings,
    events: int,
    workers: Workers,
    directory: Path,
    broker: servers.Broker,
    then: Callable[[Settings], None] = lambda _: None,
) -> PipelineRun:
    """Count the preloaded events once on a Redis of its own; whoever counted them before is forgotten.

    Args:
        settings: of the topics; the Redis in it is not used.
        directory: empty; logs and the export are put there.
        then: is called when all is applied, with the workers running on.
    """
    with ExitStack() as stack:
        store = servers.start_redis()
        stack.callback(store.close)
        mine = settings.model_copy(update={"redis": settings.redis.model_copy(update={"url": store.url})})
        asyncio.run(topics.create_missing(mine))
        client = stack.enter_context(redis.Redis.from_url(store.url))
        # A Redis that has grown rewrites its file seldom; an empty one, left as it is, four times in these seconds.
        client.config_set("auto-aof-rewrite-min-size", REWRITE_FROM)
        script_calls.begin(client)
        empty = redis_memory.used_memory(client)
        variables = environment(mine)
        with _running("aggregator", workers.aggregators, directory, variables) as aggregators:
            for each in aggregators:
                each.wait_until_ready()
            with _running("ingest", workers.ingest, directory, variables) as ingest:
                began = min(each.started_at() for each in ingest)
                processes = [*ingest, *aggregators]
                pids = {each.name: each.pid for each in processes} | {"broker": broker.pid, "redis": store.pid}
                before = {name: machine.cpu_seconds(pid) for name, pid in pids.items()}
                ended = asyncio.run(_until_applied(mine, events, processes))
                cpu_seconds = {name: machine.cpu_seconds(pid) - before[name] for name, pid in pids.items()}
                peaks = {name: peak_bytes(pid) for name, pid in pids.items()}
                stages: dict[str, float] = {}
                for each in aggregators:
                    for name, value in each.sums().items():
                        stages[name] = stages.get(name, 0) + value
                then(mine)
        slowest_call_ms = script_calls.slowest_ms(client)
        export = directory / "export.ndjson"
        command = [*TIDEMARK, "counters", "export", "--out", str(export)]
        subprocess.run(command, check=True, env=clean_environment(variables), timeout=LIMIT_SECONDS)
        return PipelineRun(
            seconds=ended - began,
            cpu_seconds=cpu_seconds,
            peak_bytes=peaks,
            memory=redis_memory.measure(client, empty),
            slowest_call_ms=slowest_call_ms,
            stages=stages,
            export=export,
        )


@contextmanager
def _running(role: str, count: int, directory: Path, variables: dict[str, str]) -> Iterator[Sequence[RoleProcess]]:
    processes: list[RoleProcess] = []
    try:
        processes += [RoleProcess(role, number, directory, variables) for number in range(count)]
        yield processes
    finally:
        for each in processes:
            each.stop()


async def _until_applied(settings: Settings, events: int, processes: Sequence[RoleProcess]) -> float:
    """Return the UNIX time at which every record was seen to be covered in every slot."""
    deadline = time.monotonic() + LIMIT_SECONDS
    topic = settings.topics.events
    async with open_store(settings) as store:
        while True:
            states = await read_states(store, settings.topics.frames_partitions)
            covered = [covered_up_to(states, topic, number) for number in range(settings.topics.events_partitions)]
            applied = sum(each or 0 for each in covered)
            if applied >= events:
                return time.time()
            for each in processes:
                each.check_running()
            assert time.monotonic() < deadline, f"only {applied:,} applied after {LIMIT_SECONDS} s"
            await asyncio.sleep(POLL_SECONDS if applied > events * NEAR_THE_END else SELDOM_SECONDS)
