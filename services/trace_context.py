"""W3C trace context: from an event's record header to the apply of its counters. Pure.

An event's `traceparent` says in which trace its producer wrote it. A frame holds many events, so an apply has links to
their traces instead of one parent. Ingest puts some of the sampled ones, with the coordinates of their events, into a
header of the frame's record; frames themselves are the same with and without.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

TRACEPARENT: Final = "traceparent"
TRACES: Final = "tidemark-traces"
"""Header of a record of `usage.frames`: a line for each trace, `TRACEPARENT TOPIC PARTITION OFFSET`."""

Headers = Iterable[tuple[str, bytes | None]]

_FORM: Final = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.ASCII | re.DOTALL)
_NO_VERSION: Final = "ff"
_FIRST_VERSION: Final = "00"
_SAMPLED: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceContext:
    """A place in a trace: ids in lower-case hexadecimal digits, as in the header."""

    trace_id: str
    span_id: str
    sampled: bool

    def __str__(self) -> str:
        return f"{_FIRST_VERSION}-{self.trace_id}-{self.span_id}-{int(self.sampled):02x}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CarriedTrace:
    """A place in a trace that an event came from; `topic`, `partition` and `offset` are those of its record."""

    context: TraceContext
    topic: str
    partition: int
    offset: int


def trace_of(headers: Headers) -> TraceContext | None:
    """Return the place in a trace that a record's headers name; None without one, with a wrong one or with several."""
    named = [value for name, value in headers if name == TRACEPARENT]
    return _read((named[0] or b"").decode("ascii", "replace")) if len(named) == 1 else None


def write_traces(traces: Iterable[CarriedTrace]) -> bytes:
    """Return the value of the header `TRACES`."""
    return "\n".join(f"{each.context} {each.topic} {each.partition} {each.offset}" for each in traces).encode()


def read_traces(headers: Headers | None) -> Sequence[CarriedTrace]:
    """Return what a frame's record carries; what cannot be read is passed over."""
    if not headers:
        return ()
    lines = [line for name, value in headers if name == TRACES for line in (value or b"").splitlines()]
    return tuple(trace for line in lines if (trace := _carried(line.decode("utf-8", "replace"))) is not None)


def _read(text: str) -> TraceContext | None:
    """Read a `traceparent` (https://www.w3.org/TR/trace-context/, section 3.2); later versions may say more behind."""
    match = _FORM.fullmatch(text.strip())
    if match is None:
        return None
    version, trace_id, span_id, flags, more = match.groups()
    if version == _NO_VERSION or (version == _FIRST_VERSION and more):
        return None
    if not (int(trace_id, 16) and int(span_id, 16)):
        return None
    return TraceContext(trace_id=trace_id, span_id=span_id, sampled=bool(int(flags, 16) & _SAMPLED))


def _carried(line: str) -> CarriedTrace | None:
    parts = line.split(" ")
    if len(parts) != 4 or not all(number.isascii() and number.isdigit() for number in parts[2:]):
        return None
    context = _read(parts[0])
    if context is None:
        return None
    return CarriedTrace(context=context, topic=parts[1], partition=int(parts[2]), offset=int(parts[3]))
