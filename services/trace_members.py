"""The answer to "where is my event?" as a JSON object, with a sentence for a person. Pure."""

from collections.abc import Iterator
from typing import Any, Final

from services.dedup_index import PERIOD_MS
from services.event_identity import EventIdentity
from services.event_rules import FIRST_MS, LAST_MS
from services.frame_search import FrameEvent
from services.trace import Outcome, Trace, TracedRecord
from services.trace_reach import Reach
from services.windows import DAY_MS, HOUR_MS, rfc3339

DAY_S: Final = 86_400
_WINDOWS: Final = {"hour": HOUR_MS, "day": DAY_MS}


def trace_members(event: EventIdentity, trace: Trace, reach: Reach) -> dict[str, Any]:
    """Return the whole answer; what is not known is null."""
    return {
        "organization": event.organization,
        "source": event.source,
        "id": event.id,
        "verdict": trace.verdict.value,
        "explanation": explanation(trace, reach),
        "records": [record_members(each, reach.partition) for each in trace.records],
        "countedInFramesNotRead": [
            {"from": _moment(period * PERIOD_MS), "to": _moment((period + 1) * PERIOD_MS)}
            for period in trace.counted_unread
        ],
        "indexed": trace.indexed,
        "reach": reach_members(reach),
    }


def explanation(trace: Trace, reach: Reach) -> str:
    """Return the verdict as a sentence."""
    match trace.verdict:
        case Outcome.ACCEPTED:
            return _accepted(trace, reach)
        case Outcome.IN_FLIGHT:
            framed = any(each.event is not None for each in trace.records if each.outcome is Outcome.IN_FLIGHT)
            where = "packed into a frame that is not applied yet" if framed else "not yet read and packed by ingest"
            return f"in flight: {where}"
        case Outcome.DEAD_LETTERED:
            letters = [each.letter for each in trace.records if each.letter is not None]
            last = letters[-1]
            at = "" if last.field is None else f" at {last.field}"
            likely = "" if last.exact else ", if it is this event: its attributes cannot all be read"
            return f"dead-lettered: {last.reason}{at}{likely}"
        case Outcome.SKIPPED:
            return "not counted: its frame was given up by `tidemark frames skip` and is kept as a dead letter"
        case Outcome.UNKNOWN:
            missing = [*reach.cut_off, *(["frames that cannot be read here"] if _has_unreadable(reach) else [])]
            return f"unknown: not found, but not everything could be read ({', '.join(missing)})"
        case _:
            return f"never seen in what was read (frames from {_text(reach.read_from_ms)} on)"


def _accepted(trace: Trace, reach: Reach) -> str:
    counted = [each.event for each in trace.records if each.outcome is Outcome.ACCEPTED]
    copies = sum(each.outcome in (Outcome.DUPLICATE, Outcome.REDELIVERED) for each in trace.records) + reach.left_out
    more = f"; {copies} {'copy' if copies == 1 else 'copies'} changed nothing" if copies else ""
    if not counted:
        gone = reach.read_from == reach.begin and reach.begin > 0 and not reach.cut_off
        return (
            f"accepted: counted, its frame is no longer kept{more}"
            if gone
            else (f"accepted: counted, by a frame that was not read{more}")
        )
    number = len(counted) + len(trace.counted_unread)
    times = "counted once" if number == 1 else f"counted {number} times, as copies more than 24 h apart may be"
    return f"accepted: {times}{more}"


def record_members(record: TracedRecord, frames_partition: int) -> dict[str, Any]:
    """Return one record: where it is, what became of it, and the windows that it counted in."""
    event, letter, first = record.event, record.letter, record.copy_of
    where = {"topic": record.topic, "partition": record.partition, "offset": record.offset}
    return {
        "outcome": record.outcome.value,
        "certain": record.certain,
        "source": where | {"brokerTime": _moment(record.broker_ms)},
        "frame": None if event is None else _frame(event, frames_partition),
        "copyOf": None if first is None else _source(first) | {"frame": _frame(first, frames_partition)},
        "deadLetter": None
        if letter is None
        else {
            "partition": letter.letter_partition,
            "offset": letter.letter_offset,
            "rejectedAt": _moment(letter.rejected_at_ms),
            "reason": letter.reason,
            "field": letter.field,
        },
        "event": None if event is None else _event(event),
        "windows": list(_windows(event)) if event is not None and record.outcome is Outcome.ACCEPTED else [],
    }


def reach_members(reach: Reach) -> dict[str, Any]:
    """Return how far back the answer reaches, and why."""
    return {
        "frames": {
            "partition": reach.partition,
            "keptFrom": {"offset": reach.begin, "time": _moment(reach.begin_ms)},
            "readFrom": {"offset": reach.read_from, "time": _moment(reach.read_from_ms)},
            "readTo": reach.end,
            "unreadable": {"count": reach.unreadable_count + reach.foreign, "first": list(reach.unreadable)},
        },
        "events": [
            {"partition": number, "keptFrom": {"offset": offset, "time": _moment(time_ms)}}
            for number, (offset, time_ms) in sorted(reach.events.items())
        ],
        "since": _moment(reach.since_ms),
        "dedupSeconds": reach.dedup_s,
        "moreRecords": reach.left_out,
        "cutOff": list(reach.cut_off),
        "why": why(reach),
    }


def why(reach: Reach) -> str:
    """Return how far back the answer reaches, and why, in words."""
    kept, read = _text(reach.begin_ms), _text(reach.read_from_ms)
    frames = f"frames are kept and were read from {kept} on"
    if reach.read_from > reach.begin:
        frames = f"frames were read from {read} on, as asked for, and are kept from {kept}"
    times = [time_ms for _, time_ms in reach.events.values() if time_ms is not None]
    events = f"the records themselves are kept from {_text(min(times, default=None))} on"
    lasts = (
        "for ever" if reach.dedup_s is None else f"for {reach.dedup_s / DAY_S:g} days after its set was last written"
    )
    return (
        f"{frames}; {events}; of what was counted before, the dedup index tells that it was, not where, and holds an id"
        f" {lasts}; copies are known from frames alone, refusals as long as the dead letters are kept"
    )


def _has_unreadable(reach: Reach) -> bool:
    return bool(reach.unreadable_count or reach.foreign)


def _source(event: FrameEvent) -> dict[str, Any]:
    return {"topic": event.topic, "partition": event.partition, "offset": event.offset}


def _frame(event: FrameEvent, partition: int) -> dict[str, Any]:
    return {"partition": partition, "offset": event.frame_offset, "time": _moment(event.frame_ms)}


def _event(event: FrameEvent) -> dict[str, Any]:
    return {
        "time": _moment(event.time_ms),
        "type": event.product.event_type,
        "team": event.team,
        "user": event.user,
        "metrics": dict(zip(event.product.counters, event.counters, strict=True)),
    }


def _windows(event: FrameEvent) -> Iterator[dict[str, Any]]:
    scopes: list[tuple[str | None, str | None]] = [(None, None), (None, event.user)]
    if event.team is not None:
        scopes.insert(1, (event.team, None))
    for team, user in scopes:
        for window, length_ms in _WINDOWS.items():
            yield {
                "organization": event.organization,
                "team": team,
                "user": user,
                "window": window,
                "start": _moment(event.time_ms // length_ms * length_ms),
                "product": event.product.name,
            }


def _moment(instant_ms: int | None) -> str | None:
    """Return an instant as text; None where a damaged frame has one that the calendar does not."""
    return None if instant_ms is None or not FIRST_MS <= instant_ms <= LAST_MS else rfc3339(instant_ms)


def _text(instant_ms: int | None) -> str:
    return _moment(instant_ms) or "no time yet"
