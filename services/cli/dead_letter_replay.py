"""`tidemark dead-letters replay`: refused records once more to the topics that they came from."""

import importlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from services.caught_up import wait_until_caught_up
from services.cli.common import AsJson, StateFile, complain, run, settings_for, write_json
from services.cli.dead_letter_options import ID_METAVAR, Organization, Reasons, Since, Until, letter_filter, letter_id
from services.cli.dead_letter_report import BadFile, Replayed, counted, members, report, report_bad
from services.cli.line_source import LineSource, UnreadableFile
from services.cli.progress import progress_bar
from services.clock import monotonic_s
from services.counters import StoreRefused, StoreUnavailable
from services.dead_letter_edits import ALLOW_NEW_IDENTITY, BadLine, Edit, EditRules, read_edits
from services.dead_letter_fate import Outgoing, ReplayRules, Skipped
from services.dead_letter_log import Progress, unwatched
from services.dead_letter_selection import Selection, corrections, fates
from services.durations import write_duration
from services.kafka import KafkaRefused, KafkaUnavailable
from services.replaying import Replayer, refused_again
from services.settings import Settings
from services.settings_loading import WrongSettings
from services.stores import open_store

JUDGE: Final = "ingest.judging"
"""Looked up by name when called: the shared kit imports none of the roles (ADR 0001)."""

EDITS_MAX: Final = 200_000
"""Lines of a file of corrections: all of them are in memory until the last is checked."""

Fates = AsyncIterator[Outgoing | Skipped]


@dataclass(frozen=True, slots=True, kw_only=True)
class How:
    """The options that do not say which letters."""

    rules: ReplayRules
    dry_run: bool
    wait_s: float | None


def replay(  # noqa: PLR0913, PLR0917 -- an option each
    ids: Annotated[
        list[str] | None, typer.Argument(metavar=ID_METAVAR, help="These letters.", show_default=False)
    ] = None,
    reason: Reasons = None,
    organization: Organization = None,
    since: Since = None,
    until: Until = None,
    every: Annotated[bool, typer.Option("--all", help="All that are there and were not replayed.")] = False,
    edit: Annotated[
        str | None, typer.Option(metavar="FILE|-", help="Corrected records: lines of `list --json`, changed.")
    ] = None,
    allow_new_identity: Annotated[
        bool,
        typer.Option(
            ALLOW_NEW_IDENTITY, help="With --edit: also records with another id, source, organization or time."
        ),
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be sent; send nothing.")] = False,
    again: Annotated[bool, typer.Option("--again", help="Also those that were replayed before.")] = False,
    keep_old: Annotated[
        bool, typer.Option("--keep-old", help="Also those that were too old, where the age limit is lifted.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Also those that this release, by the settings here, would refuse again.")
    ] = False,
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help="Wait until all of them are counted or refused, and say which.")
    ] = True,
    timeout: Annotated[float, typer.Option(min=0.0, metavar="S", help="Wait no longer than so many seconds.")] = 60.0,
    state_file: StateFile = None,
    as_json: AsJson = False,
) -> None:
    """Publish refused records again, each with its key, headers, id and time, to the topic that it came from.

    Say which: by id, by --reason, --organization, --since and --until together, --all, or --edit with a file of
    corrected records. A record that ingest would refuse again is not sent. A replayed letter is marked, and is not
    sent again without --again; sent twice, an event counts once all the same, for its identity is known.

    **Corrections**: `dead-letters list --not-replayed --json > letters.ndjson`, change `event` (or `value`) in the
    lines, take out those that you do not mend, then `dead-letters replay --edit letters.ndjson`. All lines are checked
    before the first is sent: a bad one is told with its field and remedy, and nothing is sent.

    **Too old**: an event whose time is further back than events.max_age cannot be replayed with its time kept. Where
    events.max_age, keep_hours and keep_days are all none for a run, --keep-old sends such events; one whose copy was
    counted before its identity expired then counts a second time.

    Exit code 1: some were not sent, came back, or were not through within the time; the first ones are told.

    Example: `tidemark dead-letters replay --reason unknown_field --since 2h --dry-run`
    """
    settings = settings_for(state_file)
    chosen = letter_filter(reason, organization, since, until)
    _check_choice(ids=bool(ids), like=not chosen.is_open, every=every, edit=edit is not None)
    if allow_new_identity and edit is None:
        raise typer.BadParameter(f"{ALLOW_NEW_IDENTITY} is for --edit: otherwise the records stay as they are")
    if keep_old and settings.events.max_age is not None:
        raise WrongSettings(
            f"--keep-old: events.max_age is {write_duration(settings.events.max_age)} here, so that ingest would refuse"
            " these records again; set events.max_age, events.keep_hours and events.keep_days to none for ingest, the"
            " aggregators and this command"
        )
    rules = ReplayRules.of(settings, again=again, keep_old=keep_old, force=force)
    how = How(rules=rules, dry_run=dry_run, wait_s=timeout if wait else None)
    judge = importlib.import_module(JUDGE).Judge(settings)
    began = monotonic_s()
    try:
        if edit is None:
            selection = Selection(ids=frozenset(map(letter_id, ids)) if ids else None, like=chosen)
            replayed = run(_replay(settings, lambda told: fates(settings, selection, rules, judge, told), how))
        else:
            edits = _read(edit)
            edit_rules = EditRules(replay=rules, new_identity=allow_new_identity)
            replayed = run(_replay_edits(settings, edits, edit_rules, judge, how))
    except UnreadableFile as error:
        complain(f"tidemark: {error}")
        raise typer.Exit(2) from error
    except BadFile as error:
        report_bad(error, as_json=as_json)
        raise typer.Exit(1) from error
    replayed.seconds = monotonic_s() - began
    if as_json:
        write_json(members(replayed, dry_run=dry_run))
    else:
        report(replayed, timeout)
    if not replayed.is_whole:
        raise typer.Exit(1)


def _check_choice(*, ids: bool, like: bool, every: bool, edit: bool) -> None:
    if ids + like + every + edit != 1:
        raise typer.BadParameter(
            f"say which letters, one way: {ID_METAVAR}…, or --reason, --organization, --since and --until together, or"
            " --all, or --edit FILE"
        )


def _read(file: str) -> list[Edit]:
    """Return the file's corrections.

    Raises:
        UnreadableFile: it cannot be read.
        BadFile: some of its lines are none.
    """
    edits: list[Edit] = []
    bad: list[BadLine] = []
    with LineSource(file) as source, progress_bar("reading", source.size) as advance:
        for each in read_edits(line for some in source.chunks() for line in some):
            if isinstance(each, BadLine):
                bad.append(each)
            else:
                edits.append(each)
            if len(edits) + len(bad) > EDITS_MAX:
                raise UnreadableFile(
                    f"{Path(file).name} has more than {EDITS_MAX:,} lines: split it, and replay the parts"
                )
            advance(source.position())
    if bad:
        raise BadFile(bad, len(edits))
    return edits


async def _replay(settings: Settings, begin: Callable[[Progress], Fates], how: How) -> Replayed:
    replayed = Replayed()
    with progress_bar("dead letters read") as advance:
        await _send(settings, begin(advance), replayed, how, edited=False)
    return await _followed(settings, replayed, how)


async def _replay_edits(settings: Settings, edits: list[Edit], rules: EditRules, judge: Any, how: How) -> Replayed:
    with progress_bar("checking") as advance:
        outcomes = await corrections(settings, edits, rules, judge, advance)
    bad = [each for each in outcomes if isinstance(each, BadLine)]
    if bad:
        raise BadFile(bad, len(outcomes) - len(bad))
    replayed = Replayed()

    async def corrected() -> Fates:
        for each in outcomes:
            if not isinstance(each, BadLine):
                yield each

    with progress_bar("sending", len(outcomes)) as advance:
        await _send(settings, corrected(), replayed, how, edited=True, total=len(outcomes), progress=advance)
    return await _followed(settings, replayed, how)


async def _send(
    settings: Settings,
    some: Fates,
    replayed: Replayed,
    how: How,
    *,
    edited: bool,
    total: int = 0,
    progress: Progress = unwatched,
) -> None:
    if how.dry_run:
        async for _ in _sendable(some, replayed):
            pass
        return
    replayer = Replayer(settings, edited=edited, total=total, progress=progress)
    try:
        async with replayer:
            async for each in _sendable(some, replayed):
                await replayer.send(each)
            await replayer.flush()
    except (KafkaUnavailable, KafkaRefused):
        if replayer.sent.records:
            complain(
                f"stopped after {replayer.sent.records:,} replayed letters; the same command again goes on from there"
            )
        raise
    replayed.sent = replayer.sent


async def _sendable(some: Fates, replayed: Replayed) -> AsyncIterator[Outgoing]:
    """Yield what is to be sent, and note the rest."""
    async for each in some:
        if isinstance(each, Skipped):
            replayed.skip(each)
        else:
            replayed.chosen += 1
            yield each


async def _followed(settings: Settings, replayed: Replayed, how: How) -> Replayed:
    """Wait for what was sent, if that is wanted, and look for what came back."""
    if replayed.sent is None or not replayed.sent.records or how.wait_s is None:
        return replayed
    try:
        async with open_store(settings) as store:
            with progress_bar("applied") as advance:
                outcome = await wait_until_caught_up(
                    settings, store, how.wait_s, lambda wait: advance(wait.done, wait.total)
                )
        replayed.caught_up = outcome.caught_up
        replayed.refused = await refused_again(settings, replayed.sent)
    except (KafkaUnavailable, KafkaRefused, StoreUnavailable, StoreRefused):
        complain(f"{counted(replayed.sent.records)} replayed; what became of them is not known")
        raise
    return replayed
