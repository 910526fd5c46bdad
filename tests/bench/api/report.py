"""The figures of a run as data and as tables, and what was promised of them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from tests.bench.api.measuring import Times
from tests.bench.api.operations import DAILY_30, Operation

P99_MS_MAX: Final = 20
"""Of the organization's usage, daily over 30 days, at half its own maximum rate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One operation at the fixed concurrency."""

    operation: Operation
    bytes: int
    api: Times
    bare: Times

    @property
    def ratio(self) -> float:
        return self.api.percentile_ms(50) / self.bare.percentile_ms(50)

    def figures(self) -> dict[str, Any]:
        return {
            "operation": self.operation.name,
            "bytes": self.bytes,
            "api": _figures(self.api),
            "bare": _figures(self.bare),
            "cpuMs": {name: round(self.api.cpu_ms(name), 3) for name in ("api", "redis")}
            | {"bare": round(self.bare.cpu_ms("bare"), 3)},
            "ratioOfMedians": round(self.ratio, 2),
            "ratioMax": self.operation.ratio_max,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class HalfRate:
    """`DAILY_30` at half of its maximum rate."""

    maximum_per_second: float
    times: Times

    def figures(self) -> dict[str, Any]:
        return {
            "operation": DAILY_30,
            "maximumPerSecond": round(self.maximum_per_second),
            **_figures(self.times),
            "p99MsMax": P99_MS_MAX,
        }


def _figures(times: Times) -> dict[str, float]:
    percentiles = {f"p{percent}Ms": round(times.percentile_ms(percent), 3) for percent in (50, 95, 99)}
    return percentiles | {"perSecond": round(times.per_second), "answers": len(times.taken)}


def verdicts(measured: Sequence[Measured], half_rate: HalfRate | None) -> Iterator[tuple[bool, str]]:
    """Yield whether each promise is kept, and a sentence with its figure."""
    for each in measured:
        if (most := each.operation.ratio_max) is not None:
            sentence = f"{each.operation.name}: {each.ratio:.2f} times the bare route's median, at most {most:g}"
            yield each.ratio <= most, sentence
    if half_rate is not None:
        p99 = half_rate.times.percentile_ms(99)
        yield p99 < P99_MS_MAX, f"{DAILY_30}: p99 {p99:.1f} ms at half its maximum rate, below {P99_MS_MAX}"


_CPU: Final = ("cpu api", "redis", "bare")


def print_tables(figures: dict[str, Any]) -> None:
    console = Console(width=None if Console().is_terminal else 160, highlight=False)
    table = Table(title=f"{figures['connections']} connections; times in ms", title_justify="left")
    for name in ("operation", "bytes", "p50", "p95", "p99", "requests/s", "bare p50", "bare/s", "ratio", *_CPU):
        table.add_column(name, justify="left" if name == "operation" else "right")
    for row in figures["operations"]:
        api, bare = row["api"], row["bare"]
        cells = [row["operation"], f"{row['bytes']:,}", *(f"{api[f'p{p}Ms']:.2f}" for p in (50, 95, 99))]
        cells += [
            f"{api['perSecond']:,}",
            f"{bare['p50Ms']:.2f}",
            f"{bare['perSecond']:,}",
            f"{row['ratioOfMedians']:.2f}",
        ]
        table.add_row(*cells, *(f"{value:.2f}" for value in row["cpuMs"].values()))
    console.print(table)
    if half := figures["atHalfRate"]:
        console.print(
            f"{half['operation']}: at most {half['maximumPerSecond']:,} requests/s; on a schedule of"
            f" {half['perSecond']:,}/s p50 {half['p50Ms']:.2f}, p95 {half['p95Ms']:.2f}, p99 {half['p99Ms']:.2f} ms"
        )
    console.print(", ".join(f"{name} {value}" for name, value in figures["machine"].items()))
    for verdict in figures["verdicts"]:
        console.print(("kept: " if verdict["kept"] else "[bold]MISSED[/]: ") + verdict["sentence"])
