"""The options of `tidemark plan`: each a figure that people who run a product know of it."""

from math import isfinite
from pathlib import Path
from typing import Annotated

import typer


def _finite(value: float | None) -> float | None:
    """Refuse nan and inf, which no range does."""
    if value is not None and not isfinite(value):
        raise typer.BadParameter("give a number")
    return value


Events = Annotated[
    float,
    typer.Option(
        "--events",
        min=1e-6,
        callback=_finite,
        metavar="R",
        help="Usage events a second, the average of all hours of all days.",
    ),
]
Peak = Annotated[
    float | None,
    typer.Option(
        min=1e-6,
        callback=_finite,
        metavar="R",
        help="Events a second of the busiest minutes; 4 times the average when left out.",
    ),
]
Users = Annotated[int, typer.Option(min=1, metavar="N", help="Who have events in a month.")]
Organizations = Annotated[int, typer.Option(min=1, metavar="N", help="That these belong to.")]
Teams = Annotated[
    int | None, typer.Option(min=0, metavar="N", help="Of all organizations; one for 20 users when left out.")
]
ActiveDays = Annotated[
    float,
    typer.Option(
        min=0.1, max=31, callback=_finite, metavar="N", help="Days of a month on which such a user has events."
    ),
]
ActiveHours = Annotated[
    float, typer.Option(min=1, max=24, callback=_finite, metavar="N", help="Hours of such a day in which they fall.")
]
Mix = Annotated[
    str,
    typer.Option(
        metavar="A:B:C:D", help="Events that are completions, chat, agent and instruct; 100:0:0:0 is one product only."
    ),
]
Copies = Annotated[
    float, typer.Option(min=0, max=0.9, callback=_finite, metavar="F", help="Of the events, sent again by producers.")
]
Largest = Annotated[
    float | None,
    typer.Option(
        "--largest-organization",
        min=0,
        max=1,
        callback=_finite,
        metavar="F",
        help="Of the events, the largest organization's; where left out, sizes fall as 1/rank.",
    ),
]
EventBytes = Annotated[
    float, typer.Option(min=100, max=1_048_576, callback=_finite, metavar="N", help="Of a record, with its key.")
]
IdLength = Annotated[
    int, typer.Option(min=1, max=128, metavar="N", help="Characters of an organization's, team's or user's id.")
]
Spread = Annotated[
    bool, typer.Option("--spread", help="Producers do not key by organization: its events go to all partitions.")
]
DeadLetters = Annotated[
    float, typer.Option(min=0, max=0.9, callback=_finite, metavar="F", help="Of the records, refused.")
]
NoDirectory = Annotated[bool, typer.Option("--no-directory", help="Users have no records on usage.directory.")]
MaxAge = Annotated[str | None, typer.Option(metavar="TIME", help="events.max_age, such as 35d; the setting's.")]
KeepHours = Annotated[str | None, typer.Option(metavar="TIME", help="events.keep_hours; the setting's.")]
KeepDays = Annotated[str | None, typer.Option(metavar="TIME", help="events.keep_days; the setting's.")]
EventsPartitions = Annotated[
    int | None, typer.Option(min=1, max=1_024, metavar="N", help="usage.events has so many; chosen when left out.")
]
FramesPartitions = Annotated[
    int | None, typer.Option(min=1, max=1_024, metavar="P", help="usage.frames has so many; chosen when left out.")
]
Replication = Annotated[int, typer.Option(min=1, max=9, metavar="N", help="Of the topics.")]
NodeMemory = Annotated[float, typer.Option(min=0.1, callback=_finite, metavar="GIB", help="That one Redis may have.")]
Utilization = Annotated[
    float,
    typer.Option(
        min=0.05, max=1, callback=_finite, metavar="F", help="Of its core, that a worker or Redis may use at the peak."
    ),
]
Growth = Annotated[
    float,
    typer.Option(
        min=1, max=100, callback=_finite, metavar="X", help="Times as many events that P, which stays, must do for."
    ),
]
Outage = Annotated[str, typer.Option(metavar="TIME", help="Of which it is told how long catching up takes.")]
Requests = Annotated[
    float, typer.Option(min=0, callback=_finite, metavar="R", help="Of the query API a second, at the peak.")
]
MachineFactor = Annotated[
    float | None,
    typer.Option(
        min=0.01, max=100, callback=_finite, metavar="X", help="How much slower than the measured machine a core is; 1."
    ),
]
MeasuredFile = Annotated[
    Path | None,
    typer.Option("--measured", metavar="FILE", help="What `make bench ARGS=--json` printed on a machine like yours."),
]
