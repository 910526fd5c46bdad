"""`tidemark wait --caught-up`: for scripts that publish and then read."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from services.caught_up import NO_ENDS, Wait, wait_until_caught_up
from services.cli.common import AsJson, StateFile, complain, run, say, settings_for, write_json
from services.settings import Settings
from services.stores import open_store


def wait(
    caught_up: Annotated[
        bool,
        typer.Option(
            "--caught-up", help="Wait for every record that is in the topics of events and of the directory now."
        ),
    ] = False,
    timeout: Annotated[float, typer.Option(min=0.0, metavar="S", help="Give up after so many seconds.")] = 60.0,
    state_file: StateFile = None,
    as_json: AsJson = False,
) -> None:
    """Wait until all that is in usage.events and usage.directory at the call is applied, or is a dead letter.

    Exit code 0 when it is so, 1 when the time is up (and what is missing is printed). Records that come later are
    not waited for. Kafka, usage.events or Redis not being there yet is waited out too.

    Example: `tidemark publish events.ndjson && tidemark wait --caught-up --timeout 60 && tidemark counters export`
    """
    if not caught_up:
        raise typer.BadParameter("say what to wait for: --caught-up")
    outcome = run(_wait(settings_for(state_file), timeout))
    if as_json:
        write_json({"caughtUp": outcome.caught_up, "behind": [asdict(row) for row in outcome.behind]})
    elif outcome.caught_up:
        say(f"caught up: {outcome.total} records")
    else:
        complain(f"not caught up after {timeout:g} s" + ("" if outcome.ends is not None else f": {NO_ENDS}"))
        for row in outcome.behind:
            applied, missing = ("unknown" if each is None else each for each in (row.applied, row.missing))
            complain(f"  {row.topic}, partition {row.partition}: end {row.end}, applied {applied}, missing {missing}")
    if not outcome.caught_up:
        raise typer.Exit(1)


async def _wait(settings: Settings, timeout_s: float) -> Wait:
    async with open_store(settings) as store:
        with _progress() as update:
            return await wait_until_caught_up(settings, store, timeout_s, update)


@contextmanager
def _progress() -> Iterator[Callable[[Wait], None]]:
    """Yield what shows the progress on a terminal; elsewhere it shows nothing."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    columns = (TextColumn("applied"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("applied", total=None)
        yield lambda wait: bar.update(task, total=wait.total, completed=wait.done)
