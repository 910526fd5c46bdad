"""What is told of an applied run whose frames carry traces: a log line, and a span where spans are wanted."""

from collections.abc import Sequence
from itertools import chain, islice
from typing import Final

from structlog.typing import FilteringBoundLogger

from aggregator.in_flight import InFlight
from services.clock import now_ms
from services.identifiers import PartitionId
from services.spans import Spans
from services.trace_context import CarriedTrace

TOLD_MAX: Final = 32
"""Traces that one line or span names; a run that catches up may hold hundreds."""


def tell_traces(log: FilteringBoundLogger, spans: Spans | None, partition: PartitionId, sent: InFlight) -> None:
    """Say which traces the events of an applied run came from; nothing where its frames carry none."""
    traces = list(islice(chain.from_iterable(each.traces for each in sent.frames), TOLD_MAX))
    if not traces:
        return
    first, last = sent.request.first, sent.request.last
    log.info("traced_events_applied", first=first, last=last, traces=_named(traces))
    if spans is not None:
        spans.tell(
            "tidemark.apply",
            from_ms=sent.sent_ms,
            to_ms=now_ms(),
            links=[trace.context for trace in traces],
            attributes={
                "tidemark.partition": partition,
                "tidemark.first": first,
                "tidemark.last": last,
                "tidemark.events": 0 if sent.folded is None else sent.folded.events,
            },
        )


def _named(traces: Sequence[CarriedTrace]) -> list[dict[str, str | int]]:
    return [
        {
            "trace_id": trace.context.trace_id,
            "topic": trace.topic,
            "partition": trace.partition,
            "offset": trace.offset,
        }
        for trace in traces
    ]
