"""`make bench-rebuild`: a rebuild against the run that first counted the same events, and freshness beside one."""

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from services import topics
from services.clock import now_ms
from services.freshness import as_of_ms
from services.settings import Settings
from services.settings_loading import environment
from services.stores import open_store, read_states
from tests.bench import machine
from tests.bench.latency.other_traffic import traffic_of
from tests.bench.pipeline_run import Workers, run_pipeline, settings_of
from tests.bench.workload import Workload, publish_all
from tests.support import servers
from tests.support.pipeline import TIDEMARK, clean_environment

LIVE_RATE: Final = 1_000
LIVE_SECONDS: Final = 180
SLO_SECONDS: Final = 10.0
LOOK_SECONDS: Final = 0.2
LIMIT_SECONDS: Final = 600


def main() -> int:
    options = _options()
    if missing := servers.missing_for_guarantees():
        _say(f"the benchmark runs on real servers only: {missing}")
        return 1
    workload = Workload(events=options.events, seed=options.seed, end_ms=now_ms() // 1000 * 1000)
    figures: dict[str, Any] = {}
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tidemark-rebuild-")))
        broker = servers.start_broker()
        stack.callback(broker.close)
        settings = settings_of(broker, 4)
        asyncio.run(topics.create_missing(settings))
        asyncio.run(publish_all(settings, settings.topics.events, workload.lines()))
        _say(f"preloaded {workload.events:,} events")

        def then(mine: Settings) -> None:
            figures["rebuild"] = _rebuild(mine)
            _say(f"rebuilt: {figures['rebuild']}")
            figures["beside"] = _beside_traffic(mine, directory, workload)

        run = run_pipeline(settings, workload.events, Workers(), directory, broker, then)
    figures["eventsPerSecond"] = round(workload.events / run.seconds)
    figures["rebuildEventsPerSecond"] = round(workload.events / figures["rebuild"]["seconds"])
    figures["machine"] = machine.describe()
    if options.json:
        sys.stdout.write(json.dumps(figures) + "\n")
    else:
        _print(figures)
    is_fast = figures["rebuildEventsPerSecond"] >= figures["eventsPerSecond"]
    return 0 if is_fast and figures["beside"]["worstFreshnessSeconds"] < SLO_SECONDS else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="tests.bench.rebuilding",
        description="events/s of `tidemark rebuild` beside those of the run that counted first; freshness meanwhile.",
        epilog=f"Exit code 1 where the rebuild is slower, or freshness beside {LIVE_RATE:,} events/s passes 10 s.",
    )
    parser.add_argument("--events", type=int, default=2_000_000)
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def _rebuild(settings: Settings) -> dict[str, Any]:
    """Run the command on all partitions, and return its seconds, from its start to its end, and what it says."""
    began = time.monotonic()
    done = subprocess.run(
        [*TIDEMARK, "rebuild", "--yes", "--json"],
        env=clean_environment(environment(settings)),
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return {"seconds": round(time.monotonic() - began, 2), "told": json.loads(done.stdout)}


def _beside_traffic(settings: Settings, directory: Path, workload: Workload) -> dict[str, Any]:
    """Rebuild beside live traffic, and return how old the oldest numbers were at worst."""
    file = directory / "live.ndjson"
    live = Workload(events=LIVE_RATE * LIVE_SECONDS, seed=workload.seed + 1, end_ms=now_ms() // 1000 * 1000)
    with file.open("wb") as out:
        out.writelines(line + b"\n" for line in live.lines())
    ages: list[float] = []
    stop = threading.Event()
    watch = threading.Thread(target=lambda: asyncio.run(_watch(settings, ages, stop)), daemon=True)
    with traffic_of(settings.kafka.bootstrap_servers, settings.topics.events, file, LIVE_RATE):
        time.sleep(5)
        watch.start()
        found = _rebuild(settings)
        stop.set()
        watch.join()
    return {"seconds": found["seconds"], "worstFreshnessSeconds": round(max(ages), 2), "looks": len(ages)}


async def _watch(settings: Settings, ages: list[float], stop: threading.Event) -> None:
    async with open_store(settings) as store:
        while not stop.is_set():
            states = await read_states(store, settings.topics.frames_partitions)
            known = [as_of_ms(state, settings.topics.events) for state in states]
            assert None not in known, "asOf is unknown"
            ages.append((now_ms() - min(each for each in known if each is not None)) / 1000)
            await asyncio.sleep(LOOK_SECONDS)


def _print(figures: dict[str, Any]) -> None:
    table = Table(title="Rebuild")
    for name in ("what", "figure", "limit"):
        table.add_column(name, justify="left" if name == "what" else "right")
    table.add_row("events/s, counted first", f"{figures['eventsPerSecond']:,}", "")
    rebuilt = figures["rebuildEventsPerSecond"]
    table.add_row("events/s, rebuilt", f"{rebuilt:,}", f"{figures['eventsPerSecond']:,}")
    table.add_row("times as fast", f"{rebuilt / figures['eventsPerSecond']:.2f}", "1.00")
    worst = figures["beside"]["worstFreshnessSeconds"]
    table.add_row(f"worst freshness beside {LIVE_RATE:,} events/s, s", f"{worst:.1f}", f"{SLO_SECONDS:g}")
    Console(width=None if Console().is_terminal else 120, highlight=False).print(table)


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")


if __name__ == "__main__":
    sys.exit(main())
