"""The figures of a run that was equal to the oracle, as data and as tables."""

from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from tests.bench.redis_memory import CELL_KINDS, ID_KINDS

if TYPE_CHECKING:
    from tests.bench.__main__ import Bench

MILLION = 1_000_000


def figures(bench: "Bench") -> dict[str, Any]:
    """Return everything that was measured, with its unit in its name."""
    assert bench.comparison is not None
    assert bench.memory is not None
    memory, cells = bench.memory, bench.comparison.cells
    return {
        "events": bench.events,
        "copies": bench.copies,
        "cellsCompared": cells,
        "cellsDifferent": bench.comparison.differing,
        "ingest": bench.ingest,
        "aggregators": bench.aggregators,
        "eventPartitions": bench.partitions,
        "seconds": round(bench.seconds, 2),
        "eventsPerSecond": round(bench.events / bench.seconds),
        "cpuSecondsPerMillionEvents": {
            name: round(used * MILLION / bench.events, 2) for name, used in bench.cpu_seconds.items()
        },
        "redisBytes": memory.used,
        "redisBytesPerCell": round(memory.of(CELL_KINDS) / cells, 1),
        "redisBytesPerId": round(memory.of(ID_KINDS) / max(memory.ids, 1), 1),
        "redisIds": memory.ids,
        "redisBytesByKind": dict(sorted(memory.by_kind.items())),
        "aggregatorSeconds": _stages(bench.stages),
    }


def _stages(sums: dict[str, float]) -> dict[str, float]:
    """Return the wall seconds of the aggregators' stages; awaiting Redis counts, and stages of slots overlap."""
    stages = {name: sums.get(f"tidemark_{name}_seconds_sum", 0.0) for name in ("read", "fold", "apply")}
    calls = sums.get("tidemark_events_per_call_count", 0.0)
    per_call = sums.get("tidemark_events_per_call_sum", 0.0) / calls if calls else 0.0
    return {name: round(value, 2) for name, value in stages.items()} | {"eventsPerCall": round(per_call)}


def print_tables(found: dict[str, Any]) -> None:
    console = Console(width=None if Console().is_terminal else 120, highlight=False)
    console.print(f"[bold]{found['eventsPerSecond']:,} events/s[/] end to end: {found['events']:,} events in ", end="")
    console.print(
        f"{found['seconds']} s; {found['cellsCompared']:,} cells compared, {found['cellsDifferent']} different"
    )
    cpu = found["cpuSecondsPerMillionEvents"]
    _print(console, "CPU seconds per million events", {**cpu, "all": round(sum(cpu.values()), 2)})
    memory = {
        "all": f"{found['redisBytes']:,} bytes",
        "a cell": f"{found['redisBytesPerCell']} bytes, bitmaps of active users included",
        "an id": f"{found['redisBytesPerId']} bytes",
    }
    _print(console, "Redis", memory)
    _print(console, "Where the aggregator's time goes, in seconds (slots overlap)", found["aggregatorSeconds"])
    _print(console, "Machine", found["machine"])


def _print(console: Console, title: str, rows: dict[str, Any]) -> None:
    console.print(f"\n[bold]{title}[/]")
    table = Table(show_header=False)
    for name, value in rows.items():
        table.add_row(name, str(value))
    console.print(table)
