"""The command line `tidemark`: one file a command group, put together here."""

import logging
import sys
from typing import Annotated, Final

import typer

from services.cli import (
    api_key,
    counters,
    dead_letters,
    demo,
    directory,
    frames,
    lag,
    ledger,
    plan,
    publish,
    rebuild,
    run,
    schema,
    simulate,
    token,
    topics,
    trace,
    up,
    wait,
)
from services.cli.common import complain
from services.counter_codec import CorruptCounter
from services.counters import StoreRefused, StoreUnavailable
from services.kafka import KafkaRefused, KafkaUnavailable
from services.lifecycle import Refused
from services.localstack import LocalStackUnavailable
from services.pipeline_state import NoPipeline
from services.release import running_version
from services.settings_loading import WrongSettings

WRONG_USE: Final = 2
REFUSED: Final = 3
EXIT_CODES: Final[dict[type[Exception], int]] = {
    WrongSettings: WRONG_USE,
    NoPipeline: WRONG_USE,
    Refused: REFUSED,
    KafkaRefused: REFUSED,
    KafkaUnavailable: REFUSED,
    StoreRefused: REFUSED,
    StoreUnavailable: REFUSED,
    CorruptCounter: REFUSED,
    LocalStackUnavailable: REFUSED,
}
"""Errors whose text is one sentence for the person at the terminal, and the exit code of each."""

app = typer.Typer(
    name="tidemark",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(demo.demo)
app.command()(up.up)
app.command()(run.run)
app.add_typer(topics.app, name="topics")
app.command()(publish.publish)
app.add_typer(directory.app, name="directory")
app.command()(simulate.simulate)
app.command()(wait.wait)
app.command()(lag.lag)
app.command()(ledger.ledger)
app.command()(trace.trace)
app.command()(plan.plan)
app.add_typer(counters.app, name="counters")
app.add_typer(dead_letters.app, name="dead-letters")
app.add_typer(frames.app, name="frames")
app.command()(rebuild.verify)
app.command()(rebuild.rebuild)
app.command()(token.token)
app.add_typer(api_key.app, name="api-key")
app.command()(schema.schema)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(running_version())
        raise typer.Exit


@app.callback()
def tidemark(
    show_version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Counts product usage from Kafka into Redis exactly once, and says how fresh every number is.

    **Try it:** `tidemark demo` · **A pipeline to play with:** `tidemark up --state-file tidemark.json` ·
    **In production:** `tidemark topics create`, then `tidemark run ingest`, `run aggregator`, `run api`.

    Settings are `TIDEMARK_GROUP__NAME` variables, or a TOML file named by `TIDEMARK_CONFIG`. Exit codes: 0 done,
    1 no (differences, time-out, not equal), 2 wrong use or settings, 3 refused or a server is away.
    """


def main() -> int:
    """Run the command line; an error that is a person's business is one sentence on stderr, never a stack trace."""
    # The clients log each refused connection; the sentence at the end says it once.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    try:
        app()
    except tuple(EXIT_CODES) as error:
        complain(f"tidemark: {error}")
        return next(code for kind, code in EXIT_CODES.items() if isinstance(error, kind))
    return 0


if __name__ == "__main__":
    sys.exit(main())
