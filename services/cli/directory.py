"""`tidemark directory import`: whole directories, checked first, to the directory topic."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import PurePath
from typing import Annotated, Final

import typer

from services.cli.common import AsJson, StateFile, complain, run, say, settings_for, write_json
from services.cli.line_source import STANDARD_INPUT, LineSource, UnreadableFile
from services.cli.progress import progress_bar
from services.clock import monotonic_s, now_ms
from services.directory import Thing
from services.directory_csv import Defaults, check_table
from services.directory_import import BadRow, Checked, ImportRules, check_lines
from services.event_spool import EventSpool
from services.kafka import KafkaRefused, KafkaUnavailable
from services.publishing import UsagePublisher
from services.settings import Settings
from services.windows import rfc3339

TOLD_MAX: Final = 20
"""Bad rows that are told one by one; of the others only how many."""

_AT_ONCE: Final = 2_000
"""Events after which a progress bar moves and other tasks get their turn."""


class Format(StrEnum):
    """How a file holds directory events."""

    NDJSON = "ndjson"
    CSV = "csv"


_FORMAT_OF_SUFFIX: Final = {".csv": Format.CSV, ".ndjson": Format.NDJSON, ".jsonl": Format.NDJSON}


@dataclass(slots=True, kw_only=True)
class Imported:
    """How an import went.

    Attributes:
        good: checked events by what they are about.
        told: the first bad rows.
        bad: how many there are in all.
        published: acknowledged events.
    """

    good: Counter[Thing] = field(default_factory=Counter)
    told: list[BadRow] = field(default_factory=list)
    bad: int = 0
    published: int = 0


app = typer.Typer(no_args_is_help=True, help="Tell Tidemark who and what the organizations consist of.")


@app.command("import")
def import_(
    file: Annotated[str, typer.Argument(metavar="FILE|-", help="NDJSON or CSV, .gz too; - is standard input.")],
    format_: Annotated[
        Format | None, typer.Option("--format", help="Else told by the name: .csv, .ndjson or .jsonl, then .gz or not.")
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Only check the file; publish nothing.")] = False,
    state_file: StateFile = None,
    as_json: AsJson = False,
) -> None:
    """Publish a file of organizations, teams, users, groups and licenses; report when all are acknowledged.

    Everything is checked first. Where a row is bad, its line, field and remedy are told, nothing is published, and the
    exit code is 1.

    **NDJSON**: one whole directory event on each line, published byte for byte (`tidemark schema directory`).

    **CSV**: the first row names the columns. Every row fills `type` (organization, team, user, group or license),
    `organizationid` and `subject`, the thing's id. `action` is upsert or delete (default upsert); `version` is by
    default one number for the whole file, the milliseconds of this import, so that importing again holds; `time` is
    when the change happened (default now). The other columns are the record's fields by their names in the contract:
    `name`, `parentId`, `username`, `teamId`, …; lists with `;` between, booleans true or false, `settings` as JSON. An
    empty cell is an absent field, and an upsert carries the whole record: what is left out is gone.

    Example: `tidemark directory import people.csv --check`, then
    `tidemark directory import people.csv --state-file tidemark.json`, or from another program
    `export-people | tidemark directory import - --format csv`
    """
    kind = format_ or _format_of(file)
    settings = settings_for(state_file)
    began = monotonic_s()
    try:
        with EventSpool() as spool:
            imported = _check(file, kind, settings, spool)
            if not check and not imported.bad:
                imported.published = run(_publish(settings, spool))
    except UnreadableFile as error:
        complain(f"tidemark: {error}")
        raise typer.Exit(2) from error
    seconds = monotonic_s() - began
    if as_json:
        write_json(_members(imported, seconds))
    else:
        _report(imported, seconds, check=check)
    if imported.bad:
        raise typer.Exit(1)


def _format_of(file: str) -> Format:
    suffixes = [suffix.lower() for suffix in PurePath(file).suffixes if suffix.lower() != ".gz"]
    found = _FORMAT_OF_SUFFIX.get(suffixes[-1]) if suffixes else None
    if found is None:
        what = "standard input has no name" if file == STANDARD_INPUT else f"{file} ends with none of their suffixes"
        raise typer.BadParameter(f"csv or ndjson? {what}: say --format")
    return found


def _check(file: str, kind: Format, settings: Settings, spool: EventSpool) -> Imported:
    """Check the whole file and gather its events.

    Raises:
        UnreadableFile: it cannot be read.
    """
    imported = Imported()
    now = now_ms()
    events = settings.events
    rules = ImportRules(
        unknown_fields=events.unknown_fields,
        max_bytes=events.max_bytes,
        latest_ms=now + round(events.max_ahead * 1000),
    )
    with LineSource(file) as source, progress_bar("checking", source.size) as advance:
        for checked in _checked(source, kind, rules, Defaults(version=now, time=rfc3339(now))):
            if isinstance(checked, BadRow):
                imported.bad += 1
                if len(imported.told) < TOLD_MAX:
                    imported.told.append(checked)
            else:
                imported.good[checked.thing] += 1
                spool.add(checked.organization.encode(), checked.value)
            if checked.line % _AT_ONCE == 0:
                advance(source.position())
    return imported


def _checked(source: LineSource, kind: Format, rules: ImportRules, defaults: Defaults) -> Iterator[Checked]:
    lines = (line for some in source.chunks() for line in some)
    match kind:
        case Format.NDJSON:
            return check_lines(lines, rules)
        case Format.CSV:
            return check_table(lines, rules, defaults)


async def _publish(settings: Settings, spool: EventSpool) -> int:
    publisher = UsagePublisher(settings.kafka, settings.topics.directory)
    try:
        async with publisher:
            with progress_bar("publishing", len(spool)) as advance:
                for number, (key, value) in enumerate(spool, start=1):
                    await publisher.publish_raw(value, key)
                    if number % _AT_ONCE == 0:
                        advance(publisher.acknowledged)
                        await asyncio.sleep(0)
                await publisher.flush()
    except (KafkaUnavailable, KafkaRefused):
        complain(f"stopped after {publisher.acknowledged:,} acknowledged events; importing all again is safe")
        raise
    return publisher.acknowledged


def _members(imported: Imported, seconds: float) -> dict[str, object]:
    return {
        "published": imported.published,
        "good": {thing.name.lower(): count for thing, count in sorted(imported.good.items())},
        "bad": imported.bad,
        "told": [asdict(row) for row in imported.told],
        "seconds": round(seconds, 3),
    }


def _report(imported: Imported, seconds: float, *, check: bool) -> None:
    for row in imported.told:
        complain(str(row))
    if untold := imported.bad - len(imported.told):
        complain(f"and {untold:,} more")
    total = imported.good.total()
    if imported.bad:
        complain(f"nothing was published: {imported.bad:,} bad and {total:,} good rows")
        return
    parts = ", ".join(f"{_counted(count, thing)}" for thing, count in sorted(imported.good.items()))
    what = f" ({parts})" if parts else ""
    if check:
        say(f"{total:,} rows are good{what}; nothing was published")
    else:
        say(f"{imported.published:,} directory events acknowledged in {seconds:.2f} s{what}")


def _counted(count: int, thing: Thing) -> str:
    return f"{count:,} {thing.name.lower()}{'' if count == 1 else 's'}"
