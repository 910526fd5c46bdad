"""`tidemark demo`: the whole pipeline, simulated traffic, and a verdict."""

import asyncio
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.live import Live
from rich.table import Table

from services.caught_up import wait_until_caught_up
from services.cli.common import complain, console, run, say, write_table
from services.cli.up import until_signalled
from services.clock import now_ms
from services.counters import CounterStore, StoreUnavailable
from services.demo import (
    NoAnswer,
    Verdict,
    dead_letters_by_reason,
    send_directory,
    send_traffic,
    usage_request,
    verdicts,
)
from services.demo_tally import Tally
from services.lag import covered_up_to
from services.pipeline import Pipeline, PipelineRequest, ServerDied, running
from services.stores import open_store, read_states

READY_WITHIN_S: Final = 90.0
CAUGHT_UP_WITHIN_S: Final = 60.0
_REFRESH_S: Final = 0.25


def demo(
    once: Annotated[bool, typer.Option("--once", help="End by itself, on a terminal too.")] = False,
    seconds: Annotated[float, typer.Option(min=0.1, max=600.0, metavar="S", help="Send traffic for so long.")] = 8.0,
    log_dir: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Keep one log file a process there; else only after a failure.")
    ] = None,
) -> None:
    """Start the whole pipeline on embedded servers, send traffic, and compare the API's answers with what was sent.

    The traffic is simulated, with copies and broken events in it, and so are the organizations, teams and users. It
    takes about half a minute and needs nothing but this package with its extra `local`. On a terminal the pipeline then
    stays up to be played with; off a terminal, or with --once, it ends by itself: 0 when every number is equal, 1 when
    one is not.

    Example: `tidemark demo --once --seconds 5`
    """
    stay = sys.stdout.isatty() and not once
    logs = log_dir or Path(tempfile.mkdtemp(prefix="tidemark-demo-"))
    code = run(until_signalled(lambda: _demo(seconds, logs, stay)))
    if log_dir is None and code == 0:
        shutil.rmtree(logs, ignore_errors=True)
    elif code != 0:
        complain(f"the processes' logs are in {logs}")
    raise typer.Exit(code)


async def _demo(seconds: float, logs: Path, stay: bool) -> int:
    try:
        async with running(PipelineRequest(log_dir=logs), say) as pipeline:
            try:
                async with asyncio.timeout(READY_WITHIN_S):
                    await pipeline.until_ready()
            except TimeoutError:
                complain(f"the pipeline was not ready after {READY_WITHIN_S:g} s")
                return 1
            say(f"ready: api {pipeline.api}")
            equal = await _perform(pipeline, seconds)
            if stay:
                _invite(pipeline)
                with suppress(asyncio.CancelledError):
                    await pipeline.keep_current()
            return 0 if equal else 1
    except (ServerDied, NoAnswer) as error:
        complain(str(error))
        return 1


async def _perform(pipeline: Pipeline, seconds: float) -> bool:
    """Send, wait, ask and compare; return whether everything is equal."""
    settings = pipeline.settings
    tally = Tally()
    say(f"sent the organizations, teams and users: {await send_directory(settings)} directory events")
    async with open_store(settings) as store:
        async with _live(pipeline, store, tally):
            await send_traffic(settings, tally, seconds)
        sent_ms = now_ms()
        say(f"sent {tally.lines} records: {tally.copies} copies and {tally.bad} broken ones among them")
        wait = await wait_until_caught_up(settings, store, CAUGHT_UP_WITHIN_S)
    if not wait.caught_up:
        complain(f"not caught up after {CAUGHT_UP_WITHIN_S:g} s: {wait.total - wait.done} records are missing")
        return False
    say(f"caught up {(now_ms() - sent_ms) / 1000:.1f} s after the last one was sent")
    judged = await verdicts(settings, pipeline.api, tally, sent_ms)
    letters = await dead_letters_by_reason(settings)
    _print_verdicts(tally, judged)
    _print_dead_letters(letters)
    return _print_conclusion(tally, judged, letters)


def _print_verdicts(tally: Tally, judged: Sequence[Verdict]) -> None:
    rows = []
    for verdict in judged:
        sent, block = tally.organizations[verdict.organization], verdict.block
        columns = [(sent.active_in_any(), block["activeUsers"])]
        for product, counter in (("codeCompletions", "completions"), ("chat", "interactions"), ("agent", "linesAdded")):
            columns.append((sent.number(product, counter), block[product][counter]))
        cells = [f"{wanted} / {answered}" for wanted, answered in columns]
        age = None if verdict.as_of_age_s is None else f"{verdict.as_of_age_s:.1f} s"
        rows.append((verdict.organization, sent.events, *cells, age, "not equal" if verdict.unequal else "equal"))
    columns_of = ("organization", "events", "active users", "completions", "chats", "agent lines", "as of", "verdict")
    write_table("Sent / answered by the query API (all numbers are compared; some are shown)", columns_of, rows)
    for verdict in judged:
        for each in verdict.unequal:
            complain(f"{verdict.organization}: {each.name}: sent {each.sent}, answered {each.answered}")


def _print_dead_letters(letters: Counter[str]) -> None:
    write_table("Dead letters", ("reason", "records"), sorted(letters.items()))


def _print_conclusion(tally: Tally, judged: Sequence[Verdict], letters: Counter[str]) -> bool:
    unequal = [verdict.organization for verdict in judged if verdict.unequal]
    kept = letters.total()
    if kept != tally.bad:
        complain(f"{tally.bad} broken records were sent, but {kept} are dead letters")
    if unequal:
        complain(f"not equal: {', '.join(unequal)}")
    equal = not unequal and kept == tally.bad
    if equal:
        counted = sum(sent.events for sent in tally.organizations.values())
        say(f"equal: {counted} events counted once each, {tally.copies} copies not, {kept} broken ones kept")
    return equal


@asynccontextmanager
async def _live(pipeline: Pipeline, store: CounterStore, tally: Tally) -> AsyncIterator[None]:
    """Show on a terminal how sent and applied records run; elsewhere show nothing."""
    if not sys.stdout.isatty():
        yield
        return
    with Live(_table(tally, None), console=console(), refresh_per_second=8, transient=True) as live:
        watching = asyncio.create_task(_watch(live, pipeline, store, tally))
        try:
            yield
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)


async def _watch(live: Live, pipeline: Pipeline, store: CounterStore, tally: Tally) -> None:
    topics = pipeline.settings.topics
    while True:
        with suppress(StoreUnavailable):
            states = await read_states(store, topics.frames_partitions)
            covered = [covered_up_to(states, topics.events, number) for number in range(topics.events_partitions)]
            live.update(_table(tally, sum(each or 0 for each in covered)))
        await asyncio.sleep(_REFRESH_S)


def _table(tally: Tally, applied: int | None) -> Table:
    table = Table("", "records", title="Simulated traffic", title_justify="left", min_width=40)
    rows = {
        "sent": tally.lines,
        "  copies among them": tally.copies,
        "  broken among them": tally.bad,
        "applied": applied,
        "not yet applied": None if applied is None else max(0, tally.lines - applied),
    }
    for name, value in rows.items():
        table.add_row(name, "unknown" if value is None else f"{value:,}")
    return table


def _invite(pipeline: Pipeline) -> None:
    request = usage_request(pipeline.settings, pipeline.api, "acme")
    metrics = next(iter(pipeline.state().health["aggregator"]), "")
    say("\nThe pipeline stays up until Ctrl-C. Try, in another terminal:\n")
    say(f"curl -s -H 'Authorization: {request.get_header('Authorization')}' '{request.full_url}'\n")
    who = f"curl -s -H 'Authorization: {request.get_header('Authorization')}' {pipeline.api}"
    say(f"{who}/api/v1/organization/account-utilizations\n")
    say(f"curl -s {pipeline.api}/openapi.json\n")
    say(f"curl -s http://{metrics}/metrics\n")
