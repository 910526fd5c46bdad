"""The options by which the commands on dead letters say which are meant."""

from typing import Annotated, Final

import typer

from services.clock import now_ms
from services.dead_letter_filter import LetterFilter, read_moment
from services.dead_letters import Reason
from services.replays import LetterId, read_letter_id

ID_METAVAR: Final = "PARTITION:OFFSET"

Reasons = Annotated[
    list[Reason] | None,
    typer.Option(
        "--reason", help="Only those refused for this reason; may be given several times.", show_choices=False
    ),
]
Organization = Annotated[
    str | None,
    typer.Option(
        metavar="ID",
        help="Only those that name this organization, as far as the record can be read.",
        show_default=False,
    ),
]
Since = Annotated[
    str | None,
    typer.Option(metavar="TIME", help="Only those refused then or later: RFC 3339, or how long ago, such as 2h."),
]
Until = Annotated[str | None, typer.Option(metavar="TIME", help="Only those refused before then.")]


def letter_filter(
    reasons: list[Reason] | None, organization: str | None, since: str | None, until: str | None
) -> LetterFilter:
    """Return the filter that the options say."""
    return LetterFilter(
        reasons=frozenset(reasons or ()),
        organization=organization,
        since_ms=moment("--since", since),
        until_ms=moment("--until", until),
    )


def moment(option: str, text: str | None) -> int | None:
    if text is None:
        return None
    try:
        return read_moment(text, now_ms())
    except ValueError as error:
        raise typer.BadParameter(f"{option}: {error}") from error


def letter_id(text: str) -> LetterId:
    if (found := read_letter_id(text)) is None:
        raise typer.BadParameter(f"{text!r}: give a dead letter's id, {ID_METAVAR}, as `dead-letters list` shows it")
    return found
