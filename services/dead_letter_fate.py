"""What becomes of a dead letter that is to be published again: sent, or why not. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from services.dead_letter_log import DeadLetter
from services.dead_letters import Reason
from services.replays import Descent, LetterId, ReplayNote
from services.settings import Settings

Headers = Sequence[tuple[str, bytes]]


class Fault(Protocol):
    """Why a record is refused, as `ingest.verdicts.Rejected`."""

    @property
    def reason(self) -> Reason: ...
    @property
    def field(self) -> str | None: ...
    @property
    def detail(self) -> str: ...


class Judge(Protocol):
    """Says what ingest would say of a record if it came now; `ingest.judging.Judge` is one."""

    def fault(self, topic: str, value: bytes | None, headers: Headers, now_ms: int) -> Fault | None: ...


class Why(StrEnum):
    """Why a letter is not sent."""

    REPLAYED = "replayed_before"
    TOO_OLD = "too_old"
    REFUSED_AGAIN = "would_be_refused_again"
    FRAME = "a_frame"
    NO_ORIGIN = "no_origin"
    NO_LETTER = "no_such_letter"


WORDS = {
    Why.REPLAYED: "replayed before; --again sends it once more, which changes no counter",
    Why.TOO_OLD: "too old to be replayed with its time kept; where a run of ingest lifts the age limit"
    " (events.max_age, keep_hours and keep_days all none), replay it with --keep-old",
    Why.REFUSED_AGAIN: "would be refused again as it is; correct it with --edit",
    Why.FRAME: "not an event but a frame (`tidemark frames skip`), which this command cannot replay",
    Why.NO_LETTER: "not among the dead letters",
    Why.NO_ORIGIN: "of no topic of this deployment, so that nobody knows where to send it",
}
"""A line for each, after how many letters it concerns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """A letter that is not sent; `reason`, `field` and `detail` are those that ingest would give now."""

    letter: LetterId
    why: Why
    reason: str | None = None
    field: str | None = None
    detail: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """A record to publish: what it holds, and which letter it comes from."""

    letter: LetterId
    descent: Descent | None
    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayRules:
    """What the settings and the caller decide.

    Attributes:
        sources: the topics that may be published to.
        unlimited: whether the settings here lift the age limit.
        again: also what was replayed before.
        keep_old: also what was refused as too old, where the limit is lifted.
        force: also what ingest would refuse again, but for its age.
    """

    sources: tuple[str, ...]
    unlimited: bool
    again: bool = False
    keep_old: bool = False
    force: bool = False

    @classmethod
    def of(cls, settings: Settings, *, again: bool, keep_old: bool, force: bool) -> "ReplayRules":
        return cls(
            sources=(settings.topics.events, settings.topics.directory),
            unlimited=settings.events.max_age is None,
            again=again,
            keep_old=keep_old,
            force=force,
        )


def unsendable(letter: DeadLetter, note: ReplayNote | None, rules: ReplayRules) -> Skipped | None:
    """Return why nothing can be sent for a letter, whatever it is corrected to; None when something can.

    Args:
        note: says that it was replayed before.
    """
    if letter.reason == Reason.SKIPPED_FRAME:
        return Skipped(letter=letter.id, why=Why.FRAME)
    if letter.origin is None or letter.origin.topic not in rules.sources:
        return Skipped(letter=letter.id, why=Why.NO_ORIGIN)
    if note is not None and not rules.again:
        return Skipped(letter=letter.id, why=Why.REPLAYED)
    return None


def fate(
    letter: DeadLetter, note: ReplayNote | None, rules: ReplayRules, judge: Judge, now_ms: int
) -> Outgoing | Skipped:
    """Return the record to publish for a letter as it is, or why none is."""
    if (skipped := unsendable(letter, note, rules)) is not None:
        return skipped
    assert letter.origin is not None  # it can be sent
    outgoing = Outgoing(
        letter=letter.id,
        descent=letter.descent,
        topic=letter.origin.topic,
        key=letter.key,
        value=letter.value,
        headers=letter.headers,
    )
    if letter.reason == Reason.TOO_OLD and rules.unlimited and not rules.keep_old:
        return Skipped(letter=letter.id, why=Why.TOO_OLD, reason=letter.reason, field=letter.field)
    return refused(outgoing, rules, judge, now_ms) or outgoing


def refused(outgoing: Outgoing, rules: ReplayRules, judge: Judge, now_ms: int) -> Skipped | None:
    """Return why a record is not sent since ingest would refuse it, None when it is sent."""
    fault = judge.fault(outgoing.topic, outgoing.value, outgoing.headers, now_ms)
    if fault is None or (rules.force and fault.reason is not Reason.TOO_OLD):
        return None
    why = Why.TOO_OLD if fault.reason is Reason.TOO_OLD else Why.REFUSED_AGAIN
    return Skipped(letter=outgoing.letter, why=why, reason=fault.reason, field=fault.field, detail=fault.detail)
