"""What a soak found, as data and as text."""

from collections.abc import Iterator
from typing import Any

from tests.faults.soak.memory import Growth, RoleMemory
from tests.faults.soak.running import Outcome

EXAMPLES_MAX = 20
MIB = 1024**2


def figures(outcome: Outcome) -> dict[str, Any]:
    """Return everything that was found, with its unit in its name."""
    verdict = outcome.verdict
    caught_up = [each.caught_up_s for each in outcome.faults if each.caught_up_s is not None]
    return {
        "right": outcome.right,
        "seed": outcome.seed,
        "minutes": outcome.minutes,
        "eventsPerSecond": outcome.rate,
        "events": verdict.events if verdict else None,
        "deadLetters": verdict.dead_letters if verdict else None,
        "redelivered": verdict.redelivered if verdict else None,
        "cellsCompared": verdict.cells.cells if verdict else None,
        "cellsDifferent": verdict.cells.differing if verdict else None,
        "others": len(outcome.problems) + (len(verdict.differences) if verdict else 0),
        "differences": list(differences(outcome)),
        "faults": [
            {
                "fault": each.name,
                "row": each.row,
                "atSeconds": round(each.at_s, 1),
                "lastedSeconds": round(each.over_s - each.at_s, 1),
                "caughtUpAfterSeconds": None if each.caught_up_s is None else round(each.caught_up_s, 1),
            }
            for each in outcome.faults
        ],
        "caughtUpAfterTheLastFaultSeconds": round(caught_up[-1], 1) if caught_up else None,
        "caughtUpAfterSecondsMost": round(max(caught_up), 1) if caught_up else None,
        "apiAnswers": outcome.answers,
        "apiAnswers503": outcome.unavailable,
        "apiSlowestSeconds": round(outcome.slowest_answer_s, 2),
        "memory": {each.role: _memory(each) for each in outcome.memory},
        "judgedInSeconds": round(outcome.judged_s, 1),
    }


def differences(outcome: Outcome) -> Iterator[str]:
    """Yield everything that was wrong, as sentences."""
    yield from outcome.problems
    if outcome.verdict is not None:
        yield from outcome.verdict.differences
        yield from outcome.verdict.cells.examples


def _memory(memory: RoleMemory) -> dict[str, Any]:
    return {
        "processes": memory.processes,
        "mostMiB": round(memory.most_bytes / MIB, 1),
        "overTheRun": _growth(memory.over_the_run),
        "longestProcess": _growth(memory.longest),
    }


def _growth(growth: Growth | None) -> dict[str, float] | None:
    if growth is None:
        return None
    return {
        "seconds": round(growth.seconds),
        "beginMiB": round(growth.begin_bytes / MIB, 1),
        "endMiB": round(growth.end_bytes / MIB, 1),
        "growthPercent": round(growth.percent, 1),
    }


def text(found: dict[str, Any]) -> Iterator[str]:
    """Yield the lines for a person."""
    yield f"soak, seed {found['seed']}: {found['minutes']:g} min at {found['eventsPerSecond']:g} events/s"
    yield ""
    yield "     at   lasted  caught up after  row  fault"
    for each in found["faults"]:
        after = each["caughtUpAfterSeconds"]
        waited = "not waited for" if after is None else f"{after:.1f} s"
        times = f"{each['atSeconds']:5.0f} s  {each['lastedSeconds']:5.1f} s  {waited:>15}"
        yield f"{times}  {each['row']:3}  {each['fault']}"
    yield ""
    yield f"{len(found['faults'])} faults; caught up {found['caughtUpAfterTheLastFaultSeconds']} s after the last one"
    if found["events"] is not None:
        yield f"{found['events']:,} events, {found['redelivered']:,} redelivered, {found['deadLetters']:,} dead letters"
        yield f"{found['cellsCompared']:,} cells compared, {found['cellsDifferent']} different"
    yield (
        f"API: {found['apiAnswers']} answers with numbers and asOf, {found['apiAnswers503']} of 503 with Retry-After,"
        f" the slowest after {found['apiSlowestSeconds']} s"
    )
    yield "memory, past each process's warm-up:"
    for role, memory in found["memory"].items():
        yield f"  {role:10}  over the run {_of(memory['overTheRun'])}; longest process {_of(memory['longestProcess'])}"
    yield ""
    yield from found["differences"][:EXAMPLES_MAX]
    cells = f"{found['cellsDifferent'] or 0:,} cells differ" if found["events"] is not None else "nothing was compared"
    yield (
        "RIGHT"
        if found["right"]
        else f"NOT RIGHT: {cells}, {found['others']:,} other differences; seed {found['seed']}"
    )


def _of(growth: dict[str, float] | None) -> str:
    if growth is None:
        return "not known (none lived past it)"
    return (
        f"{growth['beginMiB']} -> {growth['endMiB']} MiB ({growth['growthPercent']:+.1f} %) in {growth['seconds']:g} s"
    )
