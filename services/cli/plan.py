"""`tidemark plan`: partitions, workers, memory and disks for a load."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
import typer

from services.capacity.calls import Limits
from services.capacity.costs import Factors, Role
from services.capacity.demand import Demand, WrongDemand
from services.capacity.disks import Retention
from services.capacity.measured import WrongMeasure, factors_of
from services.capacity.members import members
from services.capacity.memory import Kept, kept_of
from services.capacity.plan import Choices
from services.capacity.plan import plan as make_plan
from services.capacity.report import rows, sentences
from services.cli import plan_options as options
from services.cli.common import AsJson, complain, say, write_json, write_table
from services.durations import parse_duration
from services.metrics_contract import PRODUCTS
from services.settings import Settings
from services.settings_loading import load_settings

PEAK: Final = 4.0
"""Times the average: the busiest hour of a working day has 2.7 times it (`services.simulated_population`), and some of
its minutes half as much again."""

USERS_A_TEAM: Final = 20
GIBIBYTE: Final = 2.0**30


def plan(  # noqa: PLR0913, PLR0917 -- an option each
    events: options.Events,
    users: options.Users,
    organizations: options.Organizations,
    peak: options.Peak = None,
    teams: options.Teams = None,
    active_days: options.ActiveDays = 20.0,
    active_hours: options.ActiveHours = 8.0,
    mix: options.Mix = "70:20:10:0",
    copies: options.Copies = 0.01,
    largest: options.Largest = None,
    event_bytes: options.EventBytes = 363.0,
    id_length: options.IdLength = 36,
    spread: options.Spread = False,
    dead_letters: options.DeadLetters = 0.001,
    no_directory: options.NoDirectory = False,
    max_age: options.MaxAge = None,
    keep_hours: options.KeepHours = None,
    keep_days: options.KeepDays = None,
    events_partitions: options.EventsPartitions = None,
    frames_partitions: options.FramesPartitions = None,
    replication: options.Replication = 3,
    node_memory: options.NodeMemory = 64.0,
    utilization: options.Utilization = 0.6,
    growth: options.Growth = 2.0,
    outage: options.Outage = "1h",
    requests: options.Requests = 20.0,
    machine_factor: options.MachineFactor = None,
    measured: options.MeasuredFile = None,
    as_json: AsJson = False,
) -> None:
    """Say what a load needs: partitions, workers, cores, Redis memory, disks, network, and what ends first.

    Give what you know of your product: events a second, users and organizations. Retention is that of the settings
    (TIDEMARK_EVENTS__KEEP_DAYS and so on) unless an option says otherwise. Nothing is asked of any server.

    Each figure comes with its reason. Costs are those of two cores of an AMD EPYC; for your own machine give
    --machine-factor, or --measured with what `make bench ARGS=--json` printed there.

    Exit code 0 when the peak can be counted, 1 when it cannot (the table says what ends first, and what helps), 2 when
    the figures contradict each other.

    Example: a company of 20,000 developers with 100 events each on a working day,
    `tidemark plan --events 15 --users 20000 --organizations 40`
    """
    settings = load_settings()
    try:
        demand = Demand(
            events_per_second=events,
            peak_per_second=peak or events * PEAK,
            users=users,
            organizations=organizations,
            teams=max(users // USERS_A_TEAM, 1) if teams is None else teams,
            active_days=active_days,
            active_hours=active_hours,
            product_shares=_mix(mix),
            copy_share=copies,
            largest_share=largest,
            event_bytes=event_bytes,
            id_length=id_length,
            keyed=not spread,
            dead_letter_share=dead_letters,
            directory=not no_directory,
        )
    except WrongDemand as error:
        raise typer.BadParameter(str(error)) from error
    choices = Choices(
        keeps=_retention(settings),
        limits=_limits(settings),
        factors=_factors(machine_factor, measured),
        events_partitions=events_partitions,
        frames_partitions=frames_partitions,
        utilization=utilization,
        growth=growth,
        node_bytes=node_memory * GIBIBYTE,
        replication=replication,
        outage_s=_seconds("--outage", outage),
        requests_per_second=requests,
    )
    found = make_plan(demand, _kept(settings, max_age, keep_hours, keep_days), choices)
    if as_json:
        write_json(members(found))
    else:
        write_table("What it needs", ("part", "figure", "value", "reason"), rows(found))
        for sentence in sentences(found):
            say(sentence)
    if not found.holds:
        complain(f"tidemark: {found.refusal}")
        raise typer.Exit(1)


def _kept(settings: Settings, max_age: str | None, keep_hours: str | None, keep_days: str | None) -> Kept:
    events = settings.events
    hours_s = _kept_s("--keep-hours", keep_hours, events.keep_hours)
    days_s = _kept_s("--keep-days", keep_days, events.keep_days)
    age_s = _kept_s("--max-age", max_age, events.max_age)
    return kept_of(hours_s, days_s, age_s + events.dedup_margin)


def _kept_s(option: str, text: str | None, setting_s: float | None) -> float:
    seconds_s = setting_s if text is None else _seconds(option, text)
    if seconds_s is None:
        raise typer.BadParameter(
            f"{option}: what is kept for ever grows for ever; say for how long to plan, such as {option} 3650d"
        )
    return seconds_s


def _seconds(option: str, text: str) -> float:
    try:
        seconds = parse_duration(text)
    except ValueError as error:
        raise typer.BadParameter(f"{option}: {error}") from error
    if seconds is None:
        raise typer.BadParameter(f"{option}: what is kept for ever grows for ever; give a time such as 3650d")
    return float(seconds)  # type: ignore[arg-type]


def _mix(text: str) -> tuple[float, ...]:
    try:
        parts = [float(part) for part in text.split(":")]
    except ValueError:
        parts = []
    total = sum(parts)
    if len(parts) != len(PRODUCTS) or min(parts) < 0 or not 0 < total < float("inf"):
        raise typer.BadParameter(
            f"--mix: {text!r} is no {len(PRODUCTS)} numbers such as 70:20:10:0,"
            " of completions, chat, agent and instruct"
        )
    return tuple(part / total for part in parts)


def _retention(settings: Settings) -> Retention:
    topics = settings.topics
    return Retention(
        events_s=topics.events_retention,
        frames_s=topics.frames_retention,
        dead_letters_s=topics.dead_letters_retention,
    )


def _limits(settings: Settings) -> Limits:
    return Limits(
        call_items=settings.aggregator.max_call_items,
        poll_records=settings.ingest.max_poll_records,
        frame_events=settings.ingest.max_frame_events,
    )


def _factors(machine: float | None, file: Path | None) -> Factors:
    if file is None:
        return dict.fromkeys(Role, machine or 1.0)
    if machine is not None:
        raise typer.BadParameter("give --machine-factor or --measured, not both: the file says how fast the machine is")
    try:
        return factors_of(_last_object(file))
    except (OSError, WrongMeasure) as error:
        raise typer.BadParameter(f"--measured {file}: {error}") from error


def _last_object(file: Path) -> Mapping[str, Any]:
    """Return the JSON of the last line: make and the benchmark may have written others before it."""
    lines = file.read_bytes().strip().splitlines()
    try:
        found = msgspec.json.decode(lines[-1] if lines else b"")
    except msgspec.DecodeError as error:
        raise WrongMeasure(
            f"its last line is no JSON ({error}): write it by `make bench ARGS=--json > FILE`"
        ) from error
    if not isinstance(found, dict):
        raise WrongMeasure("its last line is no JSON object: write it by `make bench ARGS=--json > FILE`")
    return found
