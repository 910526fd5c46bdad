"""`tidemark simulate`: seeded usage or directory events, published or written to a file."""

import asyncio
import gzip
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Annotated, BinaryIO, Final, cast

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from services.cli.common import AsJson, StateFile, complain, run, say, settings_for, write_json
from services.clock import monotonic_s, now_ms
from services.event_rules import WrongTime, read_time_ms
from services.kafka import KafkaRefused, KafkaUnavailable
from services.line_keys import organization_key
from services.publishing import UsagePublisher
from services.settings import Settings
from services.simulated_directory import simulate_directory
from services.simulated_faults import with_faults
from services.simulated_population import SHAPES, Profile
from services.simulation import simulate as simulated_lines

DEFAULT_RATE: Final = 500.0
"""Events a second where only a time is given."""

LINES_AT_ONCE: Final = 1_000
TICKS_PER_SECOND: Final = 20

Line = tuple[bytes, bool]
"""A line, and whether it is good."""


@dataclass(slots=True, kw_only=True)
class Simulated:
    """How a run went so far."""

    good: int = 0
    bad: int = 0

    @property
    def lines(self) -> int:
        return self.good + self.bad

    def add(self, some: list[Line]) -> None:
        good = sum(each for _, each in some)
        self.good += good
        self.bad += len(some) - good


def simulate(  # noqa: PLR0913, PLR0917 -- an option each
    profile: Annotated[Profile, typer.Option(help="demo: small, with everything; bench: the benchmark's.")] = (
        Profile.DEMO
    ),
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="The same seed gives the same events.")] = 1,
    events: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="How many lines, copies included; else the profile's own.")
    ] = None,
    seconds: Annotated[
        float | None, typer.Option(min=0.1, metavar="S", help="For so long, instead of --events; needs no --rate.")
    ] = None,
    rate: Annotated[
        float | None, typer.Option(min=0.001, metavar="R", help="At most R a second; 500 with --seconds alone.")
    ] = None,
    out: Annotated[
        str | None, typer.Option(metavar="FILE|-", help="Write NDJSON there, .gz too, and publish nothing.")
    ] = None,
    end_time: Annotated[
        str | None, typer.Option(metavar="RFC3339", help="No event is later; now when left out.")
    ] = None,
    bad_fraction: Annotated[
        float, typer.Option(min=0.0, max=1.0, metavar="F", help="So many lines are spoilt, to become dead letters.")
    ] = 0.0,
    directory: Annotated[
        bool, typer.Option("--directory", help="The profile's organizations, teams and users instead of their usage.")
    ] = False,
    months: Annotated[
        int | None,
        typer.Option(min=1, max=120, metavar="N", help="With --directory: what happened in N months, not the state."),
    ] = None,
    state_file: StateFile = None,
    as_json: AsJson = False,
) -> None:
    """Make realistic usage events: big and small organizations, busy hours, late events and exact copies.

    The same profile, seed, number and end time give the same bytes. Event times lie in the days before the end time.

    With --directory it makes the directory of the same organizations: who is there at the end time, or with --months
    who came, moved and went before it.

    Example: `tidemark simulate --seed 11 --events 200000 --out events.ndjson.gz`, or
    `tidemark simulate --directory --months 12 --state-file tidemark.json`
    """
    if events is not None and seconds is not None:
        raise typer.BadParameter("give --events or --seconds, not both")
    if seconds is not None:
        rate = rate or DEFAULT_RATE
        events = max(1, round(seconds * rate))
    if directory and (events is not None or bad_fraction):
        raise typer.BadParameter("--events, --seconds and --bad-fraction are for usage events")
    if months is not None and not directory:
        raise typer.BadParameter("--months is for --directory: usage events have --events")
    if out is not None and rate is not None:
        raise typer.BadParameter("--rate and --seconds are for publishing: a file is written at once")
    end_ms = now_ms() // 1000 * 1000 if end_time is None else _instant_ms(end_time)
    begin = monotonic_s()
    if directory:
        total, lines = _directory(profile, seed, end_ms, months or 0)
    else:
        total = SHAPES[profile].default_events if events is None else events
        lines = with_faults(simulated_lines(profile, seed, total, end_ms), bad_fraction, seed)
    if out is None:
        settings = settings_for(state_file)
        topic = settings.topics.directory if directory else settings.topics.events
        simulated = run(_publish(settings, topic, lines, total, rate))
    else:
        simulated = _write(lines, total, out)
    # Standard output belongs to the lines where they go there.
    _report(simulated, monotonic_s() - begin, out, as_json=as_json)


def _directory(profile: Profile, seed: int, end_ms: int, months: int) -> tuple[int, Iterator[Line]]:
    """Return how many directory events there are, and they."""
    lines = list(simulate_directory(profile, seed, end_ms, months=months))
    return len(lines), ((line, True) for line in lines)


def _instant_ms(text: str) -> int:
    try:
        return read_time_ms(text)
    except WrongTime as error:
        raise typer.BadParameter(f"--end-time: {error}") from error


def _report(simulated: Simulated, seconds: float, out: str | None, *, as_json: bool) -> None:
    if out == "-":
        return
    if as_json:
        where = {} if out is None else {"out": out}
        write_json({"events": simulated.good, "bad": simulated.bad, "seconds": round(seconds, 3)} | where)
        return
    done = "events acknowledged" if out is None else f"events written to {out}"
    bad = f", {simulated.bad:,} of them bad" if simulated.bad else ""
    say(f"{simulated.lines:,} {done} in {seconds:.2f} s{bad}")


def _write(lines: Iterator[Line], total: int, out: str) -> Simulated:
    simulated = Simulated()
    with _target(out) as file, _progress("writing", total) as advance:
        for some in _batches(lines, LINES_AT_ONCE):
            file.write(b"".join([line + b"\n" for line, _ in some]))
            simulated.add(some)
            advance(simulated)
    return simulated


async def _publish(settings: Settings, topic: str, lines: Iterator[Line], total: int, rate: float | None) -> Simulated:
    simulated = Simulated()
    publisher = UsagePublisher(settings.kafka, topic)
    at_once = LINES_AT_ONCE if rate is None else max(1, min(LINES_AT_ONCE, int(rate / TICKS_PER_SECOND)))
    try:
        async with publisher:
            begin = monotonic_s()
            with _progress("publishing", total) as advance:
                for some in _batches(lines, at_once):
                    for line, _ in some:
                        await publisher.publish_raw(line, organization_key(line))
                    await publisher.push()
                    simulated.add(some)
                    advance(simulated)
                    ahead_s = 0.0 if rate is None else simulated.lines / rate - (monotonic_s() - begin)
                    await asyncio.sleep(max(0.0, ahead_s))
            await publisher.flush()
    except (KafkaUnavailable, KafkaRefused):
        complain(f"stopped after {publisher.acknowledged:,} acknowledged events; publishing all again is safe")
        raise
    return simulated


def _batches(lines: Iterator[Line], size: int) -> Iterator[list[Line]]:
    while some := list(islice(lines, size)):
        yield some


@contextmanager
def _target(out: str) -> Iterator[BinaryIO]:
    """Open what is written to; a file is there whole or not at all."""
    if out == "-":
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    path = Path(out)
    draft = path.with_name(f"{path.name}.new")
    try:
        with draft.open("wb") as file:
            if path.suffix == ".gz":
                # No name and no time in the header: the same events make the same file.
                with gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=file, mtime=0) as packed:
                    yield cast("BinaryIO", packed)
            else:
                yield file
        draft.replace(path)
    except OSError as error:
        raise typer.BadParameter(f"--out {out}: {error.strerror or error}") from error
    finally:
        draft.unlink(missing_ok=True)


@contextmanager
def _progress(what: str, total: int) -> Iterator[Callable[[Simulated], None]]:
    """Yield what shows the progress on a terminal; elsewhere it shows nothing."""
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    shown = sys.stderr.isatty()
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=not shown) as bar:
        task = bar.add_task(what, total=total)
        yield lambda simulated: bar.update(task, completed=simulated.lines)
