"""`make bench`: the workload through the pipeline on Apache Kafka and Redis; see `python -m tests.bench --help`."""

import argparse
import asyncio
import gc
import json
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from itertools import islice
from pathlib import Path

from services import topics
from services.clock import now_ms
from services.settings import Settings
from tests.bench import machine, report
from tests.bench.baselines.measuring import BASELINES, BaselineRun, run_baseline
from tests.bench.pipeline_run import PipelineRun, Workers, run_pipeline, settings_of
from tests.bench.workload import Workload, publish_all
from tests.support import servers
from tests.support.comparison import Comparison, compare
from tests.support.oracle import Oracle
from tests.support.topic_changes import forget_groups

GROUPS = ("tidemark-ingest", "tidemark-aggregator")
BASELINE_TOPIC = "baseline.events"


def main() -> int:
    options = _options()
    if missing := servers.missing_for_guarantees():
        _say(f"the benchmark runs on real servers only: {missing}")
        return 1
    workload = Workload(events=options.events, seed=options.seed, end_ms=now_ms() // 1000 * 1000)
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tidemark-bench-")))
        broker = servers.start_broker()
        stack.callback(broker.close)
        settings = settings_of(broker, options.partitions)
        asyncio.run(topics.create_missing(settings))
        seconds = asyncio.run(publish_all(settings, settings.topics.events, workload.lines()))
        _say(f"preloaded {workload.events:,} events in {seconds:.0f} s")
        workers = Workers(ingest=options.ingest, aggregators=options.aggregators)
        runs = [_run(number, settings, workload, workers, directory, broker) for number in range(options.runs)]
        baselines = _baselines(options, settings, workload)
        _say(f"now the oracle counts {workload.events:,} events by brute force")
        oracle, comparisons = _verify(workload, runs)
    if wrong := [comparison for comparison in comparisons if not comparison.equal]:
        _say(f"NOT EQUAL to the oracle, so no figures:\n{wrong[0]}")
        return 1
    figures = report.figures(workload.events, oracle.copies, comparisons[0].cells, runs, baselines)
    figures |= {"workers": vars(options), "machine": machine.describe() | _servers()}
    if options.json:
        sys.stdout.write(json.dumps(figures) + "\n")
    else:
        report.print_tables(figures)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tests.bench", description="events/s from a preloaded topic to Redis")
    parser.add_argument("--events", type=int, default=2_000_000)
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--runs", type=int, default=3, help="over the same events; the median is told")
    parser.add_argument("--ingest", type=int, default=1, help="processes")
    parser.add_argument("--aggregators", type=int, default=1, help="processes")
    parser.add_argument("--partitions", type=int, default=4, help="of usage.events")
    parser.add_argument("--baselines", type=int, default=300_000, help="events for each baseline; 0 leaves them out")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def _run(
    number: int, settings: Settings, workload: Workload, workers: Workers, directory: Path, broker: servers.Broker
) -> PipelineRun:
    """Run once on new frames, from the first event on."""
    of_run = directory / f"run-{number}"
    of_run.mkdir()
    topics_of_run = settings.topics.model_copy(update={"frames": f"{settings.topics.frames}-{number}"})
    mine = settings.model_copy(update={"topics": topics_of_run})
    run = run_pipeline(mine, workload.events, workers, of_run, broker)
    forget_groups(settings.kafka.bootstrap_servers, GROUPS)
    _say(f"run {number + 1}: {workload.events / run.seconds:,.0f} events/s, not checked yet")
    return run


def _baselines(options: argparse.Namespace, settings: Settings, workload: Workload) -> list[BaselineRun]:
    if not options.baselines:
        return []
    bootstrap = settings.kafka.bootstrap_servers
    topic_settings = settings.topics.model_copy(update={"events": BASELINE_TOPIC})
    asyncio.run(topics.create_missing(settings.model_copy(update={"topics": topic_settings})))
    asyncio.run(publish_all(settings, BASELINE_TOPIC, islice(workload.lines(), options.baselines)))
    runs = []
    for name in BASELINES:
        runs.append(run_baseline(name, bootstrap, BASELINE_TOPIC, islice(workload.lines(), options.baselines)))
        _say(f"{name}: {runs[-1].events / runs[-1].seconds:,.0f} events/s, equal to brute force without dedup")
    return runs


def _verify(workload: Workload, runs: Sequence[PipelineRun]) -> tuple[Oracle, list[Comparison]]:
    """Compare every cell of every run with the oracle's."""
    # Millions of small objects without a cycle among them: looking for cycles would take most of the time.
    gc.disable()
    counted = Oracle(workload.lines(), broker_ms=workload.end_ms)
    assert counted.bad == 0
    comparisons = []
    for run in runs:
        with run.export.open("rb") as rows:
            comparisons.append(compare(map(json.loads, rows), counted.rows()))
    return counted, comparisons


def _servers() -> dict[str, str]:
    return {"broker": servers.find_broker().name, "redis": servers.find_redis().name}


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")


if __name__ == "__main__":
    sys.exit(main())
