"""What the metrics tell of a run once it is applied."""

from structlog.typing import FilteringBoundLogger

from aggregator.folding import Folded
from services.counters import ApplyRequest
from services.telemetry import Telemetry


def note_events(telemetry: Telemetry, log: FilteringBoundLogger, folded: Folded, request: ApplyRequest) -> None:
    """Count what became of the run's events; say so when a counter reached its limit."""
    telemetry.observe("tidemark_events_per_call", folded.events)
    for result, events in (
        ("counted", folded.counted),
        ("duplicate", folded.duplicates),
        ("redelivered", folded.redelivered),
    ):
        if events:
            telemetry.count("tidemark_events_total", events, result=result)
    if folded.oldest_duplicate_s is not None:
        telemetry.observe("tidemark_duplicate_age_seconds", folded.oldest_duplicate_s)
    if folded.saturated:
        telemetry.count("tidemark_saturated_counters_total", folded.saturated)
        log.error("counters_saturated", counters=folded.saturated, first=request.first, last=request.last)
