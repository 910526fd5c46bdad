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

_FORM: Final = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(-.*)?", re.ASCII | re.DOTALL)
_NO_VERSION: Final = "ff"
_NO_TRACE: Final = "0" * 32
_NO_SPAN: Final = "0" * 16
_FIRST_VERSION: Final = "00"
_FLAGS_END: Final = slice(54, 55)
_SAMPLED_DIGITS: Final = frozenset({b"1", b"3", b"5", b"7", b"9", b"b", b"d", b"f"})
"""Last digits of flags whose lowest bit, `sampled`, is set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceContext:
    """A place in a sampled trace: ids in lower-case hexadecimal digits, as in the header."""

    trace_id: str
    span_id: str

    def __str__(self) -> str:
        return f"{_FIRST_VERSION}-{self.trace_id}-{self.span_id}-01"


@dataclass(frozen=True, slots=True, kw_only=True)
class CarriedTrace:
    """A place in a trace that an event came from; `topic`, `partition` and `offset` are those of its record."""

    context: TraceContext
    topic: str
    partition: int
    offset: int


def sampled_trace_of(headers: Headers) -> TraceContext | None:
    """Return the place in a sampled trace that a record's headers name; None without one, or with a wrong one."""
    value: bytes | None = None
    for name, each in headers:
        if name == TRACEPARENT:
            if value is not None:  # of several, none can be told to be the right one
                return None
            value = each
    # Most traces are not sampled, and need not be read to see it.
    if not value or value[_FLAGS_END] not in _SAMPLED_DIGITS:
        return None
    return _read(value.decode("ascii", "replace"))


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
    match = _FORM.fullmatch(text)
    if match is None:
        return None
    version, trace_id, span_id, more = match.groups()
    if version == _NO_VERSION or (version == _FIRST_VERSION and more):
        return None
    if trace_id == _NO_TRACE or span_id == _NO_SPAN:
        return None
    return TraceContext(trace_id=trace_id, span_id=span_id)


def _carried(line: str) -> CarriedTrace | None:
    parts = line.split(" ")
    if len(parts) != 4 or not all(number.isascii() and number.isdigit() for number in parts[2:]):
        return None
    context = _read(parts[0])
    if context is None:
        return None
    return CarriedTrace(context=context, topic=parts[1], partition=int(parts[2]), offset=int(parts[3]))
