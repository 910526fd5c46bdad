"""`make bench-curves`; see `python -m tests.bench.curves --help`."""

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.bench import machine
from tests.bench.curves import memory, throughput
from tests.support import servers
from tests.support.pipeline import ROOT

DIRECTORY: Final = ROOT / "deploy" / "docs" / "performance"


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """One plot: what is measured, what it is drawn against, and by what it comes."""

    title: str
    x: str
    y: str
    of: str
    points: Callable[[int], Iterator[Any]]
    log: bool = False


CURVES: Final = {
    "call": Curve(
        title="Throughput against events folded together",
        x="events in one script call, mean",
        y="events/s",
        of="eventsPerSecond",
        points=throughput.by_call,
        log=True,
    ),
    "users": Curve(
        title="Throughput against users",
        x="users of an organization, mean",
        y="events/s",
        of="eventsPerSecond",
        points=throughput.by_users,
        log=True,
    ),
    "source-partitions": Curve(
        title="Throughput against partitions of usage.events",
        x="partitions",
        y="events/s",
        of="eventsPerSecond",
        points=throughput.by_source_partitions,
    ),
    "frames-partitions": Curve(
        title="Throughput against partitions of usage.frames",
        x="partitions",
        y="events/s",
        of="eventsPerSecond",
        points=throughput.by_frames_partitions,
    ),
    "workers": Curve(
        title="Throughput against workers",
        x="workers",
        y="events/s",
        of="eventsPerSecond",
        points=throughput.by_workers,
    ),
    "ids": Curve(
        title="Redis memory against identities kept",
        x="identities",
        y="bytes",
        of="bytes",
        points=lambda _: memory.by_ids(),
        log=True,
    ),
    "users-days": Curve(
        title="Redis memory of cells against users and days",
        x="users times days",
        y="bytes",
        of="bytes",
        points=lambda _: memory.by_users_and_days(),
        log=True,
    ),
}


def main() -> int:
    options = _options()
    if missing := servers.missing_for_guarantees():
        _say(f"curves are measured on real servers only: {missing}")
        return 1
    options.directory.mkdir(parents=True, exist_ok=True)
    file = options.directory / "figures.json"
    found: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
    for name in options.only or CURVES:
        points = []
        for point in CURVES[name].points(options.events):
            points.append(point.figures())
            _say(f"{name}: {json.dumps(points[-1])}")
        found[name] = points
        # Each as soon as it is there: the whole takes an hour.
        file.write_text(json.dumps(found | {"machine": machine.describe()}, indent=1) + "\n")
        _draw(options.directory, name, points)
    return 0


def _draw(directory: Path, name: str, points: list[dict[str, Any]]) -> None:
    # Imported here, so that measuring does not carry it along.
    from tests.bench.curves.plots import draw  # noqa: PLC0415

    curve = CURVES[name]
    draw(directory / f"{name}.svg", curve.title, curve.x, curve.y, points, curve.of, log=curve.log)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="tests.bench.curves", description="What throughput and memory depend on: figures.json and a plot each."
    )
    parser.add_argument("--only", nargs="+", choices=CURVES, help="these curves; the others' figures stay")
    parser.add_argument("--events", type=int, default=500_000, help="of each throughput run")
    parser.add_argument("--directory", type=Path, default=DIRECTORY, help="where figures and plots go")
    return parser.parse_args()


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")


if __name__ == "__main__":
    sys.exit(main())
