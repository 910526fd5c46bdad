"""The figures of runs that were equal to the oracle, as data and as tables."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import median
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from tests.bench.baselines.measuring import BaselineRun
from tests.bench.pipeline_run import PipelineRun
from tests.bench.redis_memory import CELL_KINDS, ID_KINDS

MILLION: Final = 1_000_000
MEBIBYTE: Final = 1024 * 1024


def figures(
    events: int, copies: int, cells: int, runs: Sequence[PipelineRun], baselines: Sequence[BaselineRun]
) -> dict[str, Any]:
    """Return everything that was measured, with its unit in its name.

    Args:
        copies: of the events.
        cells: compared with the oracle's in each run, all of them equal.
    """

    def middle(of: Callable[[PipelineRun], float], digits: int = 2) -> float:
        return round(median(map(of, runs)), digits)

    def each(names: Iterable[str], of: Callable[[PipelineRun, str], float], digits: int = 2) -> dict[str, float]:
        return {name: round(median(of(run, name) for run in runs), digits) for name in names}

    names = list(runs[0].cpu_seconds)
    rates = [events / run.seconds for run in runs]
    kinds = sorted({kind for run in runs for kind in run.memory.by_kind})
    return {
        "events": events,
        "copies": copies,
        "cellsCompared": cells,
        "cellsDifferent": 0,
        "eventsPerSecond": round(median(rates)),
        "eventsPerSecondOfRuns": [round(rate) for rate in rates],
        "cpuSecondsPerMillionEvents": each(names, lambda run, name: run.cpu_seconds[name] * MILLION / events)
        | {"all": middle(lambda run: sum(run.cpu_seconds.values()) * MILLION / events)},
        "peakMebibytes": each(names, lambda run, name: run.peak_bytes[name] / MEBIBYTE, 1),
        "slowestScriptCallMs": max(run.slowest_call_ms for run in runs),
        "redisBytes": middle(lambda run: run.memory.used, 0),
        "redisBytesPerCell": middle(lambda run: run.memory.of(CELL_KINDS) / cells, 1),
        "redisBytesPerId": middle(lambda run: run.memory.of(ID_KINDS) / max(run.memory.ids, 1), 1),
        "redisIds": runs[0].memory.ids,
        "redisBytesByKind": each(kinds, lambda run, kind: run.memory.by_kind.get(kind, 0), 0),
        "aggregatorSeconds": each(_STAGES, _stage),
        "eventsPerCall": middle(_events_per_call, 0),
        "baselines": {baseline.name: _baseline(baseline, median(rates)) for baseline in baselines},
    }


_STAGES: Final = ("read", "fold", "apply")


def _stage(run: PipelineRun, name: str) -> float:
    """Return the wall seconds of a stage of the aggregators; awaiting Redis counts, and stages of slots overlap."""
    return run.stages.get(f"tidemark_{name}_seconds_sum", 0.0)


def _events_per_call(run: PipelineRun) -> float:
    calls = run.stages.get("tidemark_events_per_call_count", 0.0)
    return run.stages.get("tidemark_events_per_call_sum", 0.0) / calls if calls else 0.0


def _baseline(run: BaselineRun, tidemark: float) -> dict[str, float]:
    rate = run.events / run.seconds
    return {
        "events": run.events,
        "eventsPerSecond": round(rate),
        "cpuSecondsPerMillionEvents": round(run.cpu_seconds * MILLION / run.events, 1),
        "redisCpuSecondsPerMillionEvents": round(run.redis_cpu_seconds * MILLION / run.events, 1),
        "tidemarkIsTimesAsFast": round(tidemark / rate, 1),
    }


def print_tables(found: Mapping[str, Any]) -> None:
    console = Console(width=None if Console().is_terminal else 120, highlight=False)
    runs = ", ".join(f"{rate:,}" for rate in found["eventsPerSecondOfRuns"])
    console.print(
        f"[bold]{found['eventsPerSecond']:,} events/s[/], the median of {runs}: {found['events']:,} events ", end=""
    )
    console.print(
        f"end to end; {found['cellsCompared']:,} cells compared in each run, {found['cellsDifferent']} different"
    )
    _print(console, "CPU seconds per million events", found["cpuSecondsPerMillionEvents"])
    _print(console, "Largest resident size, MiB", found["peakMebibytes"])
    memory = {
        "all": f"{found['redisBytes']:,.0f} bytes",
        "a cell": f"{found['redisBytesPerCell']} bytes, bitmaps of active users included",
        "an id": f"{found['redisBytesPerId']} bytes",
        "slowest script call": f"{found['slowestScriptCallMs']} ms",
    }
    _print(console, "Redis", memory)
    stages = {**found["aggregatorSeconds"], "events a call": found["eventsPerCall"]}
    _print(console, "Where the aggregator's time goes, in seconds (slots overlap)", stages)
    for name, figures_of in found["baselines"].items():
        _print(console, f"Baseline {name}", figures_of)
    _print(console, "Machine", found["machine"])


def _print(console: Console, title: str, rows: Mapping[str, Any]) -> None:
    console.print(f"\n[bold]{title}[/]")
    table = Table(show_header=False)
    for name, value in rows.items():
        table.add_row(name, str(value))
    console.print(table)
