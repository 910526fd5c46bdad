"""`tidemark lag`: how far the counters are behind, what that means, and who is at it."""

import asyncio
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from typing import Annotated, Any, Final

import typer
from rich.console import Group, RenderableType
from rich.live import Live

from services.cli.common import AsJson, StateFile, complain, console, run, settings_for, table_of, write_json
from services.durations import parse_duration
from services.lag_limits import LagLimits
from services.lag_looks import Look
from services.lag_report import LagRow, freshness_rows
from services.lag_states import LagState
from services.lag_watch import LagWatch
from services.settings import Settings
from services.stores import open_store

_COLUMNS: Final = {
    "topic": "topic",
    "partition": "partition",
    "role": "role",
    "end": "end",
    "applied": "applied",
    "lag": "lag",
    "age s": "age_seconds",
    "in/s": "rate_in",
    "out/s": "rate_out",
    "drain s": "drain_seconds",
    "state": "state",
    "owner": "owner",
}
"""Heading and member of a row."""

_WIDE: Final = 150
_LEFT_OUT: Final = ("role", "owner")
"""On a terminal that is less wide, while watching."""

_WORST_FIRST: Final = (
    *(LagState.REWOUND, LagState.STOPPED, LagState.STALLED, LagState.BEHIND, LagState.UNKNOWN, LagState.OK),
)
"""So that what matters stands on top where a terminal is too low for all partitions."""

_NO: Final = 1


def seconds(text: str) -> float:
    """Return a duration such as `90s` or `5m` in seconds.

    Raises:
        typer.BadParameter: it is none.
    """
    try:
        value: Any = parse_duration(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    if value is None:
        raise typer.BadParameter("give a duration such as 90s or 5m")
    return float(value)


def lag(
    rates: Annotated[
        float | None,
        typer.Option(min=1.0, metavar="S", help="Look twice, so many seconds apart: rates and states need two looks."),
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Look again and again until Ctrl-C.")] = False,
    interval: Annotated[float, typer.Option(min=0.5, metavar="S", help="Seconds between looks of --watch.")] = 2.0,
    max_lag: Annotated[
        int | None, typer.Option(min=0, metavar="N", help="Exit with 1 where more records wait, or it is unknown.")
    ] = None,
    max_age: Annotated[
        float | None,
        typer.Option(metavar="DURATION", parser=seconds, help="Exit with 1 where one waits longer, or it is unknown."),
    ] = None,
    state_file: StateFile = None,
    as_json: AsJson = False,
) -> None:
    """Print for each topic, partition and role: end, applied, the lag between them in records, and what it means.

    `applied` is what the counters hold, not what a consumer group has committed: everything before that offset is
    counted, or is a dead letter. `age` is that of the oldest record which is not. States: **ok**; **behind** (it
    moves, but the oldest waits longer than `api.behind_after`); **stalled** (records wait and nothing has moved for
    5 s); **stopped** (records wait and no process reads the partition); **rewound** (Redis lost writes); **unknown**.
    What is not known is `unknown`, null in JSON, never 0.

    Examples: `tidemark lag --rates 6` · `tidemark lag --watch` · `tidemark lag --max-age 60s || page-somebody` ·
    `tidemark lag --json --state-file tidemark.json | jq '[.[].lag] | add'`
    """
    limits = LagLimits(lag=max_lag, age_s=max_age)
    if watch and limits.any:
        raise typer.BadParameter("--watch has no end to exit at: leave out --max-lag and --max-age, or --watch")
    settings = settings_for(state_file)
    if watch:
        with suppress(KeyboardInterrupt):
            run(_watch(settings, interval, as_json=as_json))
        return
    rows, look = run(_look(settings, rates))
    _print(rows, look, as_json=as_json)
    broken = limits.broken(rows)
    for sentence in broken:
        complain(sentence)
    if broken:
        raise typer.Exit(_NO)


async def _look(settings: Settings, apart_s: float | None) -> tuple[list[LagRow], Look]:
    async with open_store(settings) as store:
        watch = LagWatch(settings, store)
        try:
            look = await watch.look()
            if apart_s is not None:
                await asyncio.sleep(apart_s)
                look = await watch.look()
        finally:
            await watch.close()
    return watch.rows(), look


async def _watch(settings: Settings, interval_s: float, *, as_json: bool) -> None:
    async with open_store(settings) as store:
        watch = LagWatch(settings, store)
        with _showing(as_json=as_json) as show:
            try:
                while True:
                    look = await watch.look()
                    show(watch.rows(), look)
                    await asyncio.sleep(interval_s)
            finally:
                await watch.close()


@contextmanager
def _showing(*, as_json: bool) -> Iterator[Callable[[list[LagRow], Look], None]]:
    """Yield what shows a look: in place on a terminal, else one after the other."""
    if as_json or not sys.stdout.isatty():
        yield lambda rows, look: _print(rows, look, as_json=as_json)
        return
    with Live(console=console(), auto_refresh=False, screen=True) as live:
        yield lambda rows, look: live.update(_page(rows, look, wide=live.console.width >= _WIDE), refresh=True)


def _print(rows: Sequence[LagRow], look: Look, *, as_json: bool) -> None:
    for sentence in _away(look):
        complain(sentence)
    if as_json:
        write_json([asdict(row) for row in rows])
        sys.stdout.flush()
    else:
        console().print(_table(rows, tuple(_COLUMNS)), _freshness(look), sep="\n", markup=False)


def _page(rows: Sequence[LagRow], look: Look, *, wide: bool) -> RenderableType:
    columns = [name for name in _COLUMNS if wide or name not in _LEFT_OUT]
    worst_first = sorted(rows, key=lambda row: (_WORST_FIRST.index(row.state), -(row.lag or 0)))
    return Group(*_away(look), _freshness(look), _table(worst_first, columns))


def _table(rows: Sequence[LagRow], columns: Sequence[str]) -> RenderableType:
    cells = [[getattr(row, _COLUMNS[name]) for name in columns] for row in rows]
    return table_of("Lag, in records", columns, cells)


def _freshness(look: Look) -> str:
    known = [row.seconds for row in freshness_rows(look) if row.seconds is not None]
    unknown = len(look.as_of_ms) - len(known)
    worst = f"the numbers are {max(known):.1f} s old at most" if known else "how old the numbers are is unknown"
    return worst + (f"; unknown for {unknown} of {len(look.as_of_ms)} partitions" if known and unknown else "")


def _away(look: Look) -> list[str]:
    why = {"the ends are unknown": look.away.kafka, "what is applied is unknown": look.away.redis}
    return [f"{what}: {sentence}" for what, sentence in why.items() if sentence is not None]
