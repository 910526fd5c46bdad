"""The table of mutations and the tests that caught them: for the eye, as Markdown, as JSON."""

import json
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tests.mutations.running import Outcome

COMMAND = "make mutations"


def verdict(outcomes: Sequence[Outcome]) -> str:
    return f"{sum(outcome.caught for outcome in outcomes)} of {len(outcomes)} caught"


def print_table(outcomes: Sequence[Outcome]) -> None:
    console = Console(width=None if Console().is_terminal else 160, highlight=False)
    table = Table("mutation", "caught by", "s", title=verdict(outcomes))
    for outcome in outcomes:
        tests = "\n".join(each.test for each in outcome.seen if not each.trouble)
        table.add_row(outcome.mutation.name, Text(tests or "NOTHING", overflow="fold"), f"{outcome.seconds:.0f}")
    console.print(table)


def as_json(outcomes: Sequence[Outcome]) -> str:
    rows = [
        {
            "mutation": outcome.mutation.name,
            "breaks": outcome.mutation.breaks,
            "guardTakenOff": outcome.mutation.guard or None,
            "caught": outcome.caught,
            "caughtBy": {each.test: each.said for each in outcome.seen if not each.trouble},
            "trouble": outcome.trouble or None,
            "seconds": round(outcome.seconds, 1),
        }
        for outcome in outcomes
    ]
    return json.dumps({"caught": sum(outcome.caught for outcome in outcomes), "of": len(rows), "mutations": rows})


def as_markdown(outcomes: Sequence[Outcome]) -> str:
    lines = ["| mutation | what is done wrongly | caught by | s |", "| --- | --- | --- | --- |"]
    for outcome in outcomes:
        mutation = outcome.mutation
        breaks = mutation.breaks + (f"; taken off with it: {mutation.guard}" if mutation.guard else "")
        tests = "<br>".join(_short(each.test) for each in outcome.seen if not each.trouble)
        lines.append(f"| `{mutation.name}` | {breaks} | {tests or '**nothing**'} | {outcome.seconds:.0f} |")
    return "\n".join([*lines, "", f"{verdict(outcomes)} by `{COMMAND}`."])


def _short(test: str) -> str:
    file, colons, name = test.removeprefix("tests/").partition("::")
    words = name.removeprefix("test_").replace("_", " ").replace("[", " [")
    return f"`{file}`{colons and ': '}{words}"
