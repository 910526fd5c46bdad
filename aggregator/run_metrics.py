"""What the metrics tell of a run once it is applied."""

import numpy as np
from structlog.typing import FilteringBoundLogger

from aggregator.folding import Folded
from services.clock import now_ms
from services.counters import ApplyRequest
from services.telemetry import Telemetry


def note_events(telemetry: Telemetry, log: FilteringBoundLogger, folded: Folded, request: ApplyRequest) -> None:
    """Count what became of the run's events, now that it is applied; say so when a counter reached its limit."""
    if len(folded.counted_broker_ms):
        # The broker's clock may run ahead of ours; nothing is visible before it is there.
        ages_ms = np.maximum(now_ms() - folded.counted_broker_ms, 0)
        telemetry.observe_many("tidemark_visible_seconds", ages_ms / 1000)
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
