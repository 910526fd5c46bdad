"""`make bench-rest`: how soon `up` counts on the embedded servers, and what the roles use when nothing happens."""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from services.publishing import UsagePublisher
from tests.bench import machine
from tests.bench.latency.probe import ORGANIZATION, Probe
from tests.support import servers
from tests.support.pipeline import PipelineUnderTest, await_condition, running_pipeline
from tests.support.process_memory import resident_bytes

ROLES: Final = ("ingest", "aggregator", "api", "up")
SETTLING_SECONDS: Final = 10.0
PERCENT_MAX: Final = 4.0
"""Of one core, all roles together."""

FIRST_EVENT_SECONDS_MAX: Final = 10.0


def main() -> int:
    options = _options()
    figures: dict[str, Any] = {"secondsToFirstEvent": _seconds_to_first_event()}
    _say(f"first event counted {figures['secondsToFirstEvent']} s after the start of `up` on the embedded servers")
    figures |= _at_rest(options.seconds)
    figures["machine"] = machine.describe()
    if options.json:
        sys.stdout.write(json.dumps(figures) + "\n")
    else:
        _print(figures)
    kept = figures["percentOfACore"]["all"] < PERCENT_MAX and figures["secondsToFirstEvent"] < FIRST_EVENT_SECONDS_MAX
    return 0 if kept else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="tests.bench.rest",
        description="Seconds from the start of `up` to the first counted event; processor and memory of idle roles.",
        epilog=f"Exit code 1 from {FIRST_EVENT_SECONDS_MAX:g} s or {PERCENT_MAX:g} % of a core on.",
    )
    parser.add_argument("--seconds", type=float, default=60.0, help="of rest that are measured")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def _seconds_to_first_event() -> float:
    with tempfile.TemporaryDirectory(prefix="tidemark-rest-") as directory:
        began = time.monotonic()
        with running_pipeline(Path(directory), None, None) as pipeline:
            asyncio.run(_count_one(pipeline))
            return round(time.monotonic() - began, 2)


async def _count_one(pipeline: PipelineUnderTest) -> None:
    settings = pipeline.settings()
    async with (
        UsagePublisher(settings.kafka, settings.topics.events) as publisher,
        pipeline.async_client(ORGANIZATION) as client,
    ):
        probe = Probe(publisher, client)
        await probe.run(lambda: bool(probe.latencies_s or probe.unseen))


def _at_rest(seconds: float) -> dict[str, Any]:
    """Measure the roles on real servers, once they have settled after an event."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tidemark-rest-")))
        broker, store = servers.start_broker(), servers.start_redis()
        stack.callback(broker.close)
        stack.callback(store.close)
        pipeline = stack.enter_context(running_pipeline(directory, broker.bootstrap, store.url))
        asyncio.run(_count_one(pipeline))
        pids = {role: pipeline.pids(role)[0] for role in ROLES if role != "up"} | {"up": pipeline.pid}
        pids |= {"broker": broker.pid, "redis": store.pid}
        await_condition(lambda: pipeline.applied() == 1, "the event is applied", seconds=20)
        time.sleep(SETTLING_SECONDS)
        before = {name: machine.running_seconds(pid) for name, pid in pids.items()}
        began = time.monotonic()
        time.sleep(seconds)
        elapsed = time.monotonic() - began
        percent = {name: (machine.running_seconds(pid) - before[name]) * 100 / elapsed for name, pid in pids.items()}
        percent["all"] = sum(percent[role] for role in ROLES)
        resident = {role: resident_bytes(pids[role]) / 1024**2 for role in ROLES}
        return {
            "percentOfACore": {name: round(value, 2) for name, value in percent.items()},
            "residentMebibytes": {role: round(value, 1) for role, value in resident.items()},
        }


def _print(figures: dict[str, Any]) -> None:
    console = Console(width=None if Console().is_terminal else 120, highlight=False)
    table = Table(title="At rest")
    for name in ("process", "% of a core", "MiB"):
        table.add_column(name, justify="right")
    for name, percent in figures["percentOfACore"].items():
        table.add_row(name, str(percent), str(figures["residentMebibytes"].get(name, "-")))
    console.print(table)


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")


if __name__ == "__main__":
    sys.exit(main())
