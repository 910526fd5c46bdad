"""`tidemark ledger`: is every record that was received explained?"""

from collections.abc import Sequence
from typing import Annotated, Final

import typer

from services.cli.common import (
    UNKNOWN,
    AsJson,
    StateFile,
    complain,
    instant_ms,
    run,
    say,
    settings_for,
    write_json,
    write_table,
)
from services.ledger import Ledger, LedgerHour
from services.ledger_members import ledger_members
from services.ledger_reading import read_ledger
from services.settings import Settings
from services.stores import open_store
from services.windows import HOUR_MS, hour_of, rfc3339

TABLE_HOURS: Final = 24
"""Shown of those with records, the newest; all are checked, and `--json` has all."""

ALARMS_SHOWN: Final = 50

_COLUMNS: Final = (
    "hour",
    "topic",
    "partition",
    "received",
    "counted",
    "duplicate",
    "dead-lettered",
    "remainder",
    "redelivered",
    "state",
)


def ledger(
    since: Annotated[
        str | None, typer.Option(metavar="RFC3339", help="Only from this hour on; all that are kept when left out.")
    ] = None,
    until: Annotated[str | None, typer.Option(metavar="RFC3339", help="Only hours that begin before this.")] = None,
    state_file: StateFile = None,
    as_json: AsJson = False,
) -> None:
    """Check that received = counted + duplicate + dead-lettered, for each source partition and hour of broker time.

    It must hold for every hour that ended before `asOf` (**closed**); a remainder is an alarm, and its hours are
    listed. Above 0: records that were received and not explained, such as those of a frame that was given up by
    `tidemark frames skip`. Below 0: more explained than received. An hour that is **open** may still change. Records
    that were read again after they were received are `redelivered`, apart from the equation.

    Exit code 0 when every closed hour is explained; 1 when one is not, or when `asOf` is unknown, so that nobody can
    tell. Rows are kept as long as hour windows are (setting events.keep_hours).

    Example: `tidemark ledger --since 2026-08-22T08:00:00Z || page-somebody`
    """
    first_hour = None if since is None else hour_of(instant_ms(since))
    next_hour = None if until is None else hour_of(instant_ms(until) + HOUR_MS - 1)
    found = run(_read(settings_for(state_file), first_hour, next_hour))
    if as_json:
        write_json(ledger_members(found))
    else:
        _print(found)
    if found.balanced is not True:
        raise typer.Exit(1)


async def _read(settings: Settings, first_hour: int | None, next_hour: int | None) -> Ledger:
    async with open_store(settings) as store:
        return await read_ledger(settings, store, first_hour, next_hour)


def _print(found: Ledger) -> None:
    newest = sorted(found.hours, key=lambda each: each.hour)
    shown_from = max((each.hour for each in newest), default=0) - TABLE_HOURS
    write_table(
        f"Records by hour of broker time, UTC, the last {TABLE_HOURS} hours with records",
        _COLUMNS,
        [_cells(each) for each in newest if each.hour > shown_from],
    )
    for topic, moment in found.as_of_ms.items():
        say(f"{topic}: asOf {UNKNOWN if moment is None else rfc3339(moment)}")
    checked = sum(each.remainder is not None for each in found.hours)
    if found.alarms:
        _complain_of(found.alarms)
    elif found.balanced is None:
        complain(
            "asOf is unknown: not every slot has heard of every source partition; nobody can tell which hours ended"
        )
    else:
        say(f"balanced: every record of {checked} closed hours of source partitions is explained")


def _complain_of(alarms: Sequence[LedgerHour]) -> None:
    complain(f"ALARM: {len(alarms)} closed hours of source partitions do not add up")
    for each in alarms[:ALARMS_SHOWN]:
        complain(
            f"  {rfc3339(each.hour * HOUR_MS)} {each.topic}, partition {each.partition}: received {each.received},"
            f" explained {each.received - (each.remainder or 0)}, remainder {each.remainder}"
        )
    if len(alarms) > ALARMS_SHOWN:
        complain(f"  and {len(alarms) - ALARMS_SHOWN} more; --json lists all")
    complain("  frames given up: `tidemark dead-letters list --reason skipped_frame`; one event: `tidemark trace`")


def _cells(each: LedgerHour) -> tuple[object, ...]:
    numbers = (each.received, each.counted, each.duplicate, each.dead_lettered)
    remainder = "" if each.remainder is None else each.remainder
    where = (rfc3339(each.hour * HOUR_MS), each.topic, each.partition)
    return (*where, *numbers, remainder, each.redelivered, each.state.value)
