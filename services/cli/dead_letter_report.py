"""How a call of `tidemark dead-letters replay` went, for people and for programs."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from services.cli.common import complain, say, write_json
from services.cli.dead_letter_rows import printable
from services.dead_letter_edits import BadLine
from services.dead_letter_fate import WORDS, Skipped, Why
from services.replaying import TOLD_MAX, RefusedAgain, Sent


@dataclass(slots=True, kw_only=True)
class Replayed:
    """How a call went.

    Attributes:
        chosen: records to send, sent unless it was a dry run.
        skipped: letters that were not sent, by why.
        told: the first of them, but for those that were replayed before.
        sent: None for a dry run.
        caught_up: whether all that was sent is counted or refused; None when that was not waited for.
        refused: what came back; None when nobody looked.
    """

    chosen: int = 0
    skipped: Counter[Why] = field(default_factory=Counter)
    told: list[Skipped] = field(default_factory=list)
    sent: Sent | None = None
    caught_up: bool | None = None
    refused: RefusedAgain | None = None
    seconds: float = 0.0

    def skip(self, skipped: Skipped) -> None:
        self.skipped[skipped.why] += 1
        if skipped.why is not Why.REPLAYED and len(self.told) < TOLD_MAX:
            self.told.append(skipped)

    @property
    def is_whole(self) -> bool:
        """Whether everything that was meant is sent and accepted, as far as it was looked at."""
        hopeless = self.skipped.total() - self.skipped[Why.REPLAYED]
        came_back = self.refused is not None and bool(self.refused.by_reason)
        return not hopeless and not came_back and self.caught_up is not False


class BadFile(Exception):
    """The file of corrections has bad lines, and nothing was sent."""

    def __init__(self, bad: list[BadLine], good: int) -> None:
        super().__init__(f"{len(bad)} bad lines")
        self.bad = bad
        self.good = good


def members(replayed: Replayed, *, dry_run: bool) -> dict[str, Any]:
    """Return how a call went as a JSON object; what is not known is null."""
    sent, refused = replayed.sent, replayed.refused
    accepted = None
    if sent is not None and refused is not None and replayed.caught_up:
        accepted = sent.records - refused.by_reason.total()
    return {
        "dryRun": dry_run,
        "chosen": replayed.chosen,
        "sent": 0 if sent is None else sent.records,
        "byTopic": {} if sent is None else dict(sent.by_topic),
        "run": None if sent is None else sent.run,
        "skipped": {str(why): count for why, count in sorted(replayed.skipped.items())},
        "skippedLetters": [
            {"id": str(each.letter), "why": each.why, "reason": each.reason, "field": each.field, "detail": each.detail}
            for each in replayed.told
        ],
        "caughtUp": replayed.caught_up,
        "accepted": accepted,
        "refusedAgain": None if refused is None else dict(refused.by_reason),
        "refusedLetters": None
        if refused is None
        else [
            {
                "id": str(each.id),
                "replayOf": None if each.descent is None else str(each.descent.last),
                "reason": each.reason,
                "field": each.field,
            }
            for each in refused.told
        ],
        "seconds": round(replayed.seconds, 3),
    }


def report(replayed: Replayed, timeout_s: float) -> None:
    for why, count in sorted(replayed.skipped.items()):
        complain(f"{count:,} not sent: {WORDS[why]}")
    for each in replayed.told:
        words = ": ".join(word for word in (each.reason, each.field, each.detail) if word)
        complain(f"  {each.letter} {printable(words) or WORDS[each.why]}")
    untold = replayed.skipped.total() - replayed.skipped[Why.REPLAYED] - len(replayed.told)
    if untold:
        complain(f"  and {untold:,} more")
    sent = replayed.sent
    if sent is None:
        say(f"{counted(replayed.chosen)} would be replayed; nothing was sent")
        return
    topics = ", ".join(f"{count:,} to {topic}" for topic, count in sorted(sent.by_topic.items()))
    say(f"{counted(sent.records)} replayed in {replayed.seconds:.2f} s" + (f": {topics}" if topics else ""))
    if replayed.refused is None:
        return
    _report_refused(replayed.refused)
    if replayed.caught_up:
        accepted = sent.records - replayed.refused.by_reason.total()
        say(f"{accepted:,} accepted; what was counted before is known by its id and changed nothing")
    else:
        complain(
            f"not all of them are through after {timeout_s:g} s, so that it is not known how many are accepted:"
            " `tidemark wait --caught-up` waits on, `tidemark lag` says where they are"
        )


def counted(letters: int) -> str:
    return f"{letters:,} dead letter{'' if letters == 1 else 's'}"


def _report_refused(refused: RefusedAgain) -> None:
    for reason, count in sorted(refused.by_reason.items()):
        complain(f"{count:,} refused again: {reason}")
    for each in refused.told:
        came_from = "" if each.descent is None else f" (replay of {each.descent.last})"
        complain(printable(f"  {each.id}{came_from}: {each.reason}" + (f", {each.field}" if each.field else "")))


def report_bad(error: BadFile, *, as_json: bool) -> None:
    if as_json:
        told = [{"line": each.line, "field": each.field, "remedy": each.remedy} for each in error.bad[:TOLD_MAX]]
        write_json({"sent": 0, "good": error.good, "bad": len(error.bad), "told": told})
        return
    for each in error.bad[:TOLD_MAX]:
        complain(printable(str(each)))
    if (untold := len(error.bad) - TOLD_MAX) > 0:
        complain(f"and {untold:,} more")
    complain(f"nothing was sent: {len(error.bad):,} bad and {error.good:,} good lines")
