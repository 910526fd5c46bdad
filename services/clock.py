"""The only place that reads a clock; everything else is handed the time."""

import time


def now_ms() -> int:
    """Return the wall clock as milliseconds since 1970-01-01T00:00:00Z."""
    return time.time_ns() // 1_000_000


def monotonic_s() -> float:
    """Return a clock that never goes back, in seconds from an arbitrary start; for durations and deadlines."""
    return time.monotonic()
