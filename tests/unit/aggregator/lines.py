"""Random events that meet each other often: few names, times around the edges of hours, days and dedup periods."""

import json
from typing import Any

from hypothesis import strategies as st

from aggregator.dedup import PERIOD_MS
from services.metrics_contract import PRODUCTS
from services.windows import DAY_MS, HOUR_MS, rfc3339

EDGE_MS = 2900 * PERIOD_MS
"""Where a dedup period begins, and so a day and an hour."""

PRODUCERS = ("svc/a", "svc/b")


@st.composite
def lines(draw: st.DrawFn) -> bytes:
    """Return one event; two with the same id and source are at most 20 hours apart, so always copies."""
    number = draw(st.integers(0, 14))
    product = draw(st.sampled_from(PRODUCTS))
    offset_ms = draw(st.sampled_from([-10 * HOUR_MS, -1, 0, 1, 10 * HOUR_MS])) + (number % 3 - 1) * DAY_MS
    amounts: dict[str, Any] = {
        name: draw(st.integers(0, 3) | st.just(2**31 - 1)) for name in product.counters if draw(st.booleans())
    }
    event: dict[str, Any] = {
        "specversion": "1.0",
        "id": f"id-{number}",
        "source": draw(st.sampled_from(PRODUCERS)),
        "type": product.event_type,
        "time": rfc3339(EDGE_MS + offset_ms),
        "subject": draw(st.sampled_from(["ann", "bob", "cy%2Fd", "ann%"])),
        "organizationid": draw(st.sampled_from(["acme", "globex", "a%b"])),
        "data": amounts,
    }
    if (team := draw(st.sampled_from([None, "core", "ops"]))) is not None:
        event["teamid"] = team
    return json.dumps(event).encode()
