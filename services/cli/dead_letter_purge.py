"""`tidemark dead-letters purge`: deletes old dead letters, and none that was never replayed unless told so."""

import sys
from typing import Annotated, Any

import typer

from services import topics
from services.cli.common import AsJson, StateFile, complain, run, say, settings_for, write_json
from services.cli.dead_letter_options import ID_METAVAR, letter_id, moment
from services.cli.dead_letter_report import counted
from services.cli.progress import progress_bar
from services.dead_letter_log import read_log, read_replays
from services.dead_letter_purge import Purge, PurgeRules
from services.settings import Settings


def purge(  # noqa: PLR0917 -- an option each
    before: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Those refused before then: RFC 3339, or how long ago, such as 30d."),
    ] = None,
    up_to: Annotated[
        str | None, typer.Option(metavar=ID_METAVAR, help="This letter and those before it in its partition.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="All that are there.")] = False,
    unreplayed_too: Annotated[
        bool, typer.Option("--unreplayed-too", help="Also those that were never replayed: they are lost.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go; delete nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    state_file: StateFile = None,
    as_json: AsJson = False,
) -> None:
    """Delete dead letters for good, up to a time or a letter.

    Kafka deletes from a partition's beginning only, so each partition goes up to the first letter that is not meant. A
    letter that was never replayed stays, and so do those behind it; --unreplayed-too deletes these too. Without this
    command letters go when the topic's retention ends (topics.dead_letters_retention, 90 days).

    Exit code 1: letters that were meant stayed, or the question was answered with no. The embedded broker cannot
    delete records.

    Example: `tidemark dead-letters purge --before 30d --dry-run`
    """
    if (before is not None) + (up_to is not None) + every != 1:
        raise typer.BadParameter(f"say which, one way: --before TIME, --up-to {ID_METAVAR} or --all")
    settings = settings_for(state_file)
    rules = PurgeRules(
        before_ms=moment("--before", before),
        up_to=None if up_to is None else letter_id(up_to),
        unreplayed_too=unreplayed_too,
    )
    found = run(_look(settings, rules))
    letters = found.total("letters")
    if not as_json:
        _report(found)
    deleted = False
    if found.offsets and not dry_run:
        if not yes and not _confirmed(letters, found.total("unreplayed")):
            raise typer.Exit(1)
        run(topics.delete_before(settings, settings.topics.dead_letters, found.offsets))
        deleted = True
    if as_json:
        write_json(members(found, deleted=deleted))
    else:
        say(f"{counted(letters)} deleted" if deleted else "nothing was deleted")
    if found.total("kept_unreplayed"):
        raise typer.Exit(1)


async def _look(settings: Settings, rules: PurgeRules) -> Purge:
    with progress_bar("notes read") as advance:
        found = Purge(rules, await read_replays(settings, progress=advance))
    with progress_bar("dead letters read") as advance:
        async for each in read_log(settings, progress=advance):
            found.look(each)
    return found


def _confirmed(letters: int, unreplayed: int) -> bool:
    if not sys.stdin.isatty():
        raise typer.BadParameter("this deletes for good, and nobody is there to ask: give --yes, or --dry-run to look")
    lost = f", {unreplayed:,} of which were never replayed and are lost" if unreplayed else ""
    return typer.confirm(f"Delete {counted(letters)}{lost}?", err=True)


def members(found: Purge, *, deleted: bool) -> dict[str, Any]:
    """Return what goes, or went, as a JSON object."""
    return {
        "deleted": deleted,
        "letters": found.total("letters"),
        "unreplayed": found.total("unreplayed"),
        "keptUnreplayed": found.total("kept_unreplayed"),
        "keptBehindThem": found.total("kept_replayed"),
        "partitions": [{"partition": number, "beforeOffset": at} for number, at in found.offsets.items()],
    }


def _report(found: Purge) -> None:
    letters, unreplayed = found.total("letters"), found.total("unreplayed")
    where = ", ".join(f"partition {number} before offset {at}" for number, at in found.offsets.items())
    say(f"{counted(letters)} to go, {unreplayed:,} of them never replayed" + (f" ({where})" if where else ""))
    if kept := found.total("kept_unreplayed"):
        behind = found.total("kept_replayed")
        complain(
            f"{kept:,} that were never replayed stay"
            + (f", and {behind:,} replayed ones behind them" if behind else "")
            + ": replay them first, or delete them too with --unreplayed-too"
        )
