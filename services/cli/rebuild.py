"""`tidemark verify` and `tidemark rebuild`: the counters held against the log of frames, and made anew from it."""

import asyncio
import importlib
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Annotated, Any, Final, TypeVar, cast

import structlog
import typer
import uvloop
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

from services.cli.common import AsJson, StateFile, complain, say, settings_for, write_json, write_table
from services.lifecycle import calm_the_collector
from services.settings import Settings
from services.verification import Difference, Progress, Rebuilt, Verification

VERIFYING: Final = "aggregator.verifying"
REBUILDING: Final = "aggregator.rebuilding"
"""Looked up by name when called: the shared kit imports none of the roles (ADR 0001)."""

LISTED_MAX: Final = 50
"""Differences in a table; `--json` has up to a thousand."""

Result = TypeVar("Result")
Work = Callable[[Settings, Sequence[int], float, Callable[[Progress], object]], Coroutine[Any, Any, Result]]

Partition = Annotated[
    int | None, typer.Option("--partition", min=0, metavar="P", help="Only this partition of the frames topic.")
]
RedisShare = Annotated[
    float,
    typer.Option(
        "--redis-share",
        min=0.01,
        max=1.0,
        metavar="S",
        help="The largest share of Redis' time to take: 0.2 is a fifth, 1 is as fast as it goes.",
    ),
]


def verify(
    partition: Partition = None,
    redis_share: RedisShare = 0.5,
    state_file: StateFile = None,
    as_json: AsJson = False,
) -> None:
    """Fold all frames once more beside the live counters, and compare: are the numbers what the log says?

    Compared at one and the same frame, while traffic goes on: hour and day counters of every scope, distinct users by
    name, user indexes, identities of the dedup index, ledger, directory, and the state itself. Nothing live is
    changed. Redis needs room for the counters of four partitions more while it runs; nothing of that stays, and after a
    kill it ends by itself within hours.

    Exit code 0: no difference; 1: some, which are listed, and `tidemark rebuild` mends them; 3: a server is away, or
    the log cannot say, because its first frames are gone.

    Example: `tidemark verify --redis-share 0.2`
    """
    found = _run(cast(Work[Verification], _entry(VERIFYING, "verify")), state_file, partition, redis_share)
    if as_json:
        write_json(verification_members(found))
    else:
        _print(found)
    if found.differing:
        raise typer.Exit(1)


def rebuild(
    partition: Partition = None,
    redis_share: RedisShare = 1.0,
    trust_log: Annotated[
        bool,
        typer.Option(
            "--trust-log",
            help="Also where the log begins late, or the counters were made from another one (log_diverged):"
            " what only they hold is lost.",
        ),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before it begins.")] = False,
    state_file: StateFile = None,
    as_json: AsJson = False,
) -> None:
    """Make the counters anew from all frames, and put them in the live ones' place while traffic goes on.

    Each partition is made beside the live one and swapped in one step, in which it is checked that both stand at the
    same frame: readers see the old numbers or the new ones, and no event is lost or counted twice. What stood in Redis
    and is in no frame is gone then. Redis needs room for half as much again as the counters take while it runs.

    Killed or failed on the way, partitions that were swapped stay so, the others are as they were; run it again.
    Of a log whose first frames are gone, what it decides is made anew; older windows, users, identities and the
    directory are carried over as they are, and named. Refused, exit code 3: a log that the counters were not made from.

    Example: `tidemark rebuild --yes && tidemark verify`
    """
    if not yes:
        _confirm(partition)
    work = partial(_entry(REBUILDING, "rebuild"), trust_log=trust_log)
    rebuilt = _run(cast(Work[Rebuilt], work), state_file, partition, redis_share)
    if as_json:
        write_json(rebuilt_members(rebuilt))
        return
    say(f"rebuilt {_count(len(rebuilt.partitions), 'partition')}: {_speed(rebuilt.events, rebuilt.seconds)}")
    for sentence in rebuilt.unverified:
        say(f"carried over as it was: {sentence}")
    say(f"took away {_count(rebuilt.unlinked, 'key')} of what they replace")


def verification_members(found: Verification) -> dict[str, Any]:
    """Return what verify found as a JSON object."""
    return {
        "partitions": found.partitions,
        "cells": found.cells,
        "ids": found.ids,
        "differing": found.differing,
        "differences": [_members(each) for each in found.differences],
        "unverified": found.unverified,
        **_speed_members(found.events, found.seconds),
    }


def rebuilt_members(rebuilt: Rebuilt) -> dict[str, Any]:
    """Return what rebuild did as a JSON object."""
    return {
        "partitions": rebuilt.partitions,
        "unlinked": rebuilt.unlinked,
        "unverified": rebuilt.unverified,
        **_speed_members(rebuilt.events, rebuilt.seconds),
    }


def _members(difference: Difference) -> dict[str, Any]:
    return {
        "partition": difference.partition,
        "part": difference.part.value,
        **difference.place,
        "live": difference.live,
        "log": difference.log,
    }


def _print(found: Verification) -> None:
    say(
        f"{found.differing} differing: {found.cells} cells and {found.ids} identities of"
        f" {_count(found.partitions, 'partition')} compared with {_speed(found.events, found.seconds)}"
    )
    for sentence in found.unverified:
        say(f"not verified: {sentence}")
    if not found.differing:
        return
    rows = [(each.partition, each.part.value, _place(each), each.live, each.log) for each in found.differences]
    shown = [[*row[:3], *("nothing" if side is None else side for side in row[3:])] for row in rows[:LISTED_MAX]]
    write_table("", ("partition", "part", "place", "live", "by the log"), shown)
    if found.differing > len(shown):
        say(f"and {found.differing - len(shown)} more; --json lists up to a thousand")


def _place(difference: Difference) -> str:
    return ", ".join(f"{name} {value}" for name, value in difference.place.items() if value is not None)


def _speed(events: int, seconds: float) -> str:
    return f"{events} events folded in {seconds:.1f} s, {round(events / seconds) if seconds else 0} a second"


def _speed_members(events: int, seconds: float) -> dict[str, Any]:
    return {
        "events": events,
        "seconds": round(seconds, 3),
        "eventsPerSecond": round(events / seconds) if seconds else None,
    }


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")


def _confirm(partition: int | None) -> None:
    if not sys.stdin.isatty():
        raise typer.BadParameter("it replaces live counters: say --yes where nobody can be asked")
    what = "all partitions" if partition is None else f"partition {partition}"
    typer.confirm(f"Replace the counters of {what} by what the frames say?", abort=True, err=True)


def _entry(module: str, name: str) -> Any:
    return getattr(importlib.import_module(module), name)


def _run(work: "Work[Result]", state_file: Any, partition: int | None, redis_share: float) -> Result:
    """Run on the roles' event loop, behind them; Ctrl-C and SIGTERM end it in order, and take the shadow away."""
    settings = settings_for(state_file)
    count = settings.topics.frames_partitions
    if partition is not None and partition >= count:
        raise typer.BadParameter(f"--partition {partition}: there are {count}, from 0 to {count - 1}")
    # What is retried in place is told by the sentence at the end, if it does not pass.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    os.nice(settings.aggregator.niceness)
    calm_the_collector()

    async def main() -> Result:
        task = asyncio.current_task()
        assert task is not None
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        with _progress() as update:
            return await work(settings, range(count) if partition is None else [partition], redis_share, update)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            return runner.run(main())
        except (asyncio.CancelledError, KeyboardInterrupt):
            complain("stopped: nothing of the shadow stays")
            raise typer.Exit(1) from None


@contextmanager
def _progress() -> Iterator[Callable[[Progress], None]]:
    """Yield what shows the progress on a terminal; elsewhere it shows nothing."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        frames = bar.add_task("frames folded", total=None)
        cells = bar.add_task("cells compared", total=None)

        def update(now: Progress) -> None:
            bar.update(frames, total=now.total, completed=now.frames)
            bar.update(cells, completed=now.cells, visible=bool(now.cells))

        yield update
