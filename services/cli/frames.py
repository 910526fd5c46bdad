"""`tidemark frames skip`: an operator's way past a frame that no aggregator can fold; beside it `frames reach`."""

import importlib
from typing import Annotated, Any, Final

import typer

from services.cli import frames_reach
from services.cli.common import AsJson, StateFile, run, say, settings_for, write_json

MODULE: Final = "aggregator.skipping"
"""Looked up by name when called: the shared kit imports none of the roles (ADR 0001)."""

app = typer.Typer(no_args_is_help=True, help="Look after the frames between ingest and the aggregators.")


@app.callback()
def frames() -> None:
    """Look after the frames between ingest and the aggregators."""


app.command()(frames_reach.reach)


@app.command()
def skip(
    partition: Annotated[
        int, typer.Option(min=0, metavar="P", help="Partition of the frames topic.", show_default=False)
    ],
    offset: Annotated[
        int,
        typer.Option(
            min=0, metavar="N", help="Offset of the frame: the one after the applied offset.", show_default=False
        ),
    ],
    force: Annotated[
        bool, typer.Option("--force", help="Skip it although an aggregator may be able to fold it.")
    ] = False,
    state_file: StateFile = None,
    as_json: AsJson = False,
) -> None:
    """Give up one frame that ends every aggregator (`frame_held` in their logs), so that counting goes on behind it.

    **Its events are not counted.** Its bytes are kept in the dead letters (reason `skipped_frame`), and the ledger
    shows its events as received and not explained. What its header says of the sources is applied, in one step with
    the applied offset. Install a version that can fold the frame rather than skip it, if there is one.

    Refused, exit code 3: a frame that is not the next one; one that can be read and did not end 5 workers, or that is
    of a newer version (--force skips these too). To run it again after a failure is safe.

    Afterwards, with a version that can fold it: publish the dead letter's value to the same partition of the frames
    topic, and its events are counted, each once.

    Example: `tidemark frames skip --partition 3 --offset 41872`
    """
    settings = settings_for(state_file)
    partitions = settings.topics.frames_partitions
    if partition >= partitions:
        raise typer.BadParameter(f"--partition {partition}: there are {partitions}, from 0 to {partitions - 1}")
    skipped = run(importlib.import_module(MODULE).skip_frame(settings, partition, offset, force=force))
    if as_json:
        write_json(members(skipped))
        return
    events = "it is not known how many events" if skipped.events is None else f"{skipped.events} events"
    say(f"skipped the frame at offset {offset} of partition {partition}: {events} in {skipped.size} bytes, not counted")
    say(
        f"its bytes are kept at offset {skipped.letter_offset} of partition {skipped.letter_partition} of"
        f" {settings.topics.dead_letters}"
    )


def members(skipped: Any) -> dict[str, Any]:
    """Return a skipped frame (`aggregator.skipping.Skipped`) as a JSON object."""
    return {
        "partition": skipped.partition,
        "offset": skipped.offset,
        "bytes": skipped.size,
        "events": skipped.events,
        "deadLetter": {"partition": skipped.letter_partition, "offset": skipped.letter_offset},
    }
