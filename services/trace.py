"""Where is my event? The verdict on everything that was found of one identity. Pure.

Judged as the aggregator does (design.md, invariant 1): event after event in log order, the first one counts; a later
one is a copy when the earlier lies in a period in which a copy is looked for (`services.dedup_index`).
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from services.dedup_index import PERIOD_MS, near_periods
from services.frame_search import FrameEvent

Coordinates = tuple[str, int, int]
"""Topic, partition and offset of a record."""


class Outcome(StrEnum):
    """What became of a record, or of the event as a whole."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    REDELIVERED = "redelivered"
    DEAD_LETTERED = "dead_lettered"
    SKIPPED = "skipped"
    IN_FLIGHT = "in_flight"
    NEVER_SEEN = "never_seen"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class LetterFound:
    """A dead letter that is, or likely is, the event.

    Attributes:
        topic, partition, offset: of the refused record.
        letter_partition, letter_offset: of the dead letter itself.
        exact: whether organization, source and id could be read and are the event's.
    """

    topic: str
    partition: int
    offset: int
    reason: str
    field: str | None
    rejected_at_ms: int
    letter_partition: int
    letter_offset: int
    exact: bool

    @property
    def coordinates(self) -> Coordinates:
        return self.topic, self.partition, self.offset


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A record of the source that no frame covers yet; `exact` as in `LetterFound`."""

    topic: str
    partition: int
    offset: int
    broker_ms: int
    exact: bool

    @property
    def coordinates(self) -> Coordinates:
        return self.topic, self.partition, self.offset


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What was found of one identity.

    Attributes:
        applied_offset: of the partition's frames.
        events: in frames, in log order.
        letters, waiting: see there.
        skipped_frames: offsets of frames that an operator gave up.
        known_periods: periods in which the dedup index holds the identity.
        sound_from_ms: of an event of this time or later, no earlier copy can lie before the frames that were read;
            None when these begin where the log once began.
        complete: whether everything was read that was to be; else its time was over.
    """

    applied_offset: int
    events: Sequence[FrameEvent] = ()
    letters: Sequence[LetterFound] = ()
    waiting: Sequence[Waiting] = ()
    skipped_frames: Collection[int] = ()
    known_periods: Collection[int] = ()
    sound_from_ms: int | None = None
    complete: bool = True

    def is_sound(self, event: FrameEvent) -> bool:
        """Return whether no earlier copy of an event can lie before the frames that were read."""
        return self.sound_from_ms is None or event.time_ms >= self.sound_from_ms


@dataclass(frozen=True, slots=True, kw_only=True)
class TracedRecord:
    """One record of the event and what became of it.

    Attributes:
        topic, partition, offset, broker_ms: of the record; the time is None for a dead letter, which does not say it.
        event: as the frame has it; None when it is in none.
        letter: None when it is not dead-lettered.
        copy_of: the event that counted in its place; None where its frame was not read.
        certain: False where the record is likely but not surely this event, and for an accepted one that may be a
            copy of one in a frame that was not read.
    """

    outcome: Outcome
    topic: str
    partition: int
    offset: int
    broker_ms: int | None
    event: FrameEvent | None = None
    letter: LetterFound | None = None
    copy_of: FrameEvent | None = None
    certain: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """The answer.

    Attributes:
        verdict: of the event as a whole.
        records: those in frames in log order, then dead letters, then those that wait.
        counted_unread: periods of event time in which the dedup index says that it was counted, by a frame that was
            not read.
        indexed: whether the dedup index holds the identity: a copy that comes now is known as one.
    """

    verdict: Outcome
    records: Sequence[TracedRecord] = ()
    counted_unread: Sequence[int] = ()
    indexed: bool = False


def judge(evidence: Evidence) -> Trace:
    """Return what became of the event."""
    records = [*_in_frames(evidence), *_dead_lettered(evidence.letters)]
    decided = {(each.topic, each.partition, each.offset) for each in records}
    records += [_waiting(each) for each in evidence.waiting if each.coordinates not in decided]
    counted_in = {
        each.event.time_ms // PERIOD_MS
        for each in records
        if each.outcome is Outcome.ACCEPTED and each.event is not None
    }
    unread = sorted(set(evidence.known_periods) - counted_in)
    return Trace(
        verdict=_verdict(records, unread, evidence.complete),
        records=records,
        counted_unread=unread,
        indexed=bool(evidence.known_periods),
    )


def _verdict(records: Iterable[TracedRecord], unread: Sequence[int], complete: bool) -> Outcome:
    outcomes = {each.outcome for each in records}
    if unread:
        return Outcome.ACCEPTED
    # What was counted stays so; what is on its way may yet be; what was refused may have been sent again.
    for outcome in (Outcome.ACCEPTED, Outcome.IN_FLIGHT, Outcome.DEAD_LETTERED, Outcome.SKIPPED):
        if outcome in outcomes:
            return outcome
    return Outcome.NEVER_SEEN if complete else Outcome.UNKNOWN


def _in_frames(evidence: Evidence) -> Iterator[TracedRecord]:
    counted: dict[int, FrameEvent] = {}
    seen: set[Coordinates] = set()
    for event in evidence.events:
        coordinates = (event.topic, event.partition, event.offset)
        again = event.again or coordinates in seen
        seen.add(coordinates)
        if event.frame_offset > evidence.applied_offset:
            yield _of(event, Outcome.IN_FLIGHT)
            continue
        if event.frame_offset in evidence.skipped_frames:
            yield _of(event, Outcome.SKIPPED)
            continue
        first = next((counted[period] for period in sorted(near_periods(event.time_ms)) if period in counted), None)
        if first is None and _is_copy_of_one_unread(evidence, event):
            yield _of(event, Outcome.REDELIVERED if again else Outcome.DUPLICATE)
        elif first is None:
            counted[event.time_ms // PERIOD_MS] = event
            yield _of(event, Outcome.ACCEPTED, certain=evidence.is_sound(event))
        else:
            yield _of(event, Outcome.REDELIVERED if again else Outcome.DUPLICATE, copy_of=first)


def _is_copy_of_one_unread(evidence: Evidence, event: FrameEvent) -> bool:
    """Return whether the index holds the first of an event, in another period than its own would lie in."""
    known, own = set(evidence.known_periods), event.time_ms // PERIOD_MS
    return not evidence.is_sound(event) and own not in known and bool(near_periods(event.time_ms) & known)


def _of(
    event: FrameEvent, outcome: Outcome, *, copy_of: FrameEvent | None = None, certain: bool = True
) -> TracedRecord:
    return TracedRecord(
        outcome=outcome,
        topic=event.topic,
        partition=event.partition,
        offset=event.offset,
        broker_ms=event.broker_ms,
        event=event,
        copy_of=copy_of,
        certain=certain,
    )


def _dead_lettered(letters: Iterable[LetterFound]) -> Iterator[TracedRecord]:
    """Yield the letters; a second one of the same record was written when that was read again."""
    seen: set[Coordinates] = set()
    for letter in letters:
        outcome = Outcome.REDELIVERED if letter.coordinates in seen else Outcome.DEAD_LETTERED
        seen.add(letter.coordinates)
        yield TracedRecord(
            outcome=outcome,
            topic=letter.topic,
            partition=letter.partition,
            offset=letter.offset,
            broker_ms=None,
            letter=letter,
            certain=letter.exact,
        )


def _waiting(each: Waiting) -> TracedRecord:
    return TracedRecord(
        outcome=Outcome.IN_FLIGHT,
        topic=each.topic,
        partition=each.partition,
        offset=each.offset,
        broker_ms=each.broker_ms,
        certain=each.exact,
    )
