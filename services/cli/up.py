"""`tidemark up`: the whole pipeline on this machine."""

import asyncio
import signal
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any

import typer

from services.cli.common import complain, run, say
from services.pipeline import Pipeline, PipelineRequest, ServerDied, running

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def up(  # noqa: PLR0913, PLR0917 -- an option each
    kafka: Annotated[
        str | None, typer.Option(metavar="ADDR", help="A Kafka at host:port; else the embedded broker.")
    ] = None,
    redis: Annotated[str | None, typer.Option(metavar="URL", help="A Redis; else the embedded one.")] = None,
    ingest: Annotated[int, typer.Option(min=1, max=64, metavar="N", help="Ingest processes.")] = 1,
    aggregators: Annotated[int, typer.Option(min=1, max=64, metavar="N", help="Aggregator processes.")] = 1,
    api_port: Annotated[
        int | None, typer.Option(min=1, max=65_535, help="The query API's port; else the setting's, else a free one.")
    ] = None,
    max_event_age: Annotated[
        str | None,
        typer.Option(metavar="DURATION|none", help="Refuse older events; `none` lifts both keep times with it."),
    ] = None,
    keep_hours: Annotated[
        str | None, typer.Option(metavar="DURATION|none", help="Keep hour windows so long after their end.")
    ] = None,
    keep_days: Annotated[
        str | None, typer.Option(metavar="DURATION|none", help="Keep day windows so long after their end.")
    ] = None,
    state_file: Annotated[
        Path | None,
        typer.Option(metavar="F", help="Written when all is ready and kept current: addresses, pids, settings."),
    ] = None,
    log_dir: Annotated[
        Path | None, typer.Option(metavar="DIR", help="One log file a process; else the roles log to stderr.")
    ] = None,
) -> None:
    """Run the whole pipeline: servers unless given, topics, ingest, aggregator and query API, until Ctrl-C.

    A role that dies is started again, and it says so. The other commands find the pipeline by --state-file.

    Example: `tidemark up --state-file tidemark.json`, and in another terminal
    `tidemark simulate --events 1000 | tidemark publish - --state-file tidemark.json`
    """
    request = PipelineRequest(
        overrides=overrides_of(kafka, redis, api_port, limits_of(max_event_age, keep_hours, keep_days)),
        ingest=ingest,
        aggregators=aggregators,
        log_dir=log_dir,
        state_file=state_file,
    )
    raise typer.Exit(run(until_signalled(lambda: _serve(request))))


def limits_of(max_event_age: str | None, keep_hours: str | None, keep_days: str | None) -> dict[str, str]:
    """Return the settings of the three limits; an age limit that is lifted lifts the keep times not given."""
    limits = {"max_age": max_event_age, "keep_hours": keep_hours, "keep_days": keep_days}
    if max_event_age is not None and max_event_age.strip().lower() == "none":
        limits = {name: value or "none" for name, value in limits.items()}
    return {name: value for name, value in limits.items() if value is not None}


def overrides_of(
    kafka: str | None, redis: str | None, api_port: int | None, limits: dict[str, str]
) -> dict[str, dict[str, Any]]:
    """Return the options as settings, group by group, those left out left out."""
    options: dict[str, dict[str, Any]] = {
        "kafka": {"bootstrap_servers": kafka},
        "redis": {"url": redis},
        "api": {"port": api_port},
        "events": dict(limits),
    }
    return {
        group: {name: value for name, value in values.items() if value is not None} for group, values in options.items()
    }


async def until_signalled(work: Callable[[], Coroutine[Any, Any, int]]) -> int:
    """Return what the work returns, or 0 once it has cleaned up after SIGINT, SIGTERM or SIGHUP cancelled it."""
    working = asyncio.ensure_future(work())
    loop = asyncio.get_running_loop()
    for number in SIGNALS:
        # Once: a second Ctrl-C must not interrupt the stopping of the children.
        loop.add_signal_handler(number, _cancel_once(working))
    try:
        return await working
    except asyncio.CancelledError:
        return 0


def _cancel_once(task: "asyncio.Task[int]") -> Callable[[], None]:
    def cancel() -> None:
        if not task.cancelling():
            task.cancel()

    return cancel


async def _serve(request: PipelineRequest) -> int:
    try:
        async with running(request, say) as pipeline:
            await pipeline.until_ready()
            _announce(pipeline, request)
            try:
                await pipeline.keep_current()
            finally:
                say("stopping")
    except ServerDied as error:
        complain(str(error))
        return 1
    return 0


def _announce(pipeline: Pipeline, request: PipelineRequest) -> None:
    state = pipeline.state()
    say(f"ready: api {state.api}")
    for role, addresses in state.health.items():
        say(f"  {role}: pid {', '.join(map(str, state.pids[role]))}, health and metrics {', '.join(addresses)}")
    if request.state_file is not None:
        say(f"state file {request.state_file}; stop with Ctrl-C")
