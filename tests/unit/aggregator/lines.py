"""Random events that meet each other often: few names, times around the edges of hours, days and dedup periods."""

import json
from datetime import UTC, datetime
from typing import Any

from hypothesis import strategies as st

from services.dedup_index import PERIOD_MS
from services.metrics_contract import PRODUCTS
from services.windows import DAY_MS, HOUR_MS, rfc3339, to_ms
from tests.support.log_of_frames import DIRECTORY

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


CHANGE_MS = to_ms(datetime(2026, 3, 1, tzinfo=UTC))
"""Where a month begins."""

PEOPLE = ("ann", "bob", "cy%2Fd")
ORGANIZATIONS = ("acme", "globex", "a%b")
PRESENT: dict[str, dict[str, Any]] = {
    "organization": {"name": "O"},
    "team": {"name": "T"},
    "user": {"username": "U", "email": "a@b", "role": "Member", "verified": True, "status": "registered"},
    "group": {"name": "G"},
    "license": {"iat": 1, "exp": 2},
}


@st.composite
def changes(draw: st.DrawFn, versions: st.SearchStrategy[int]) -> bytes:
    """Return one directory event: a user's mostly, around the edge of a month; each version has a record of its own."""
    kind = draw(st.sampled_from(["user", "user", "user", *PRESENT]))
    organization, version = draw(st.sampled_from(ORGANIZATIONS)), draw(versions)
    data: dict[str, Any] = {"action": draw(st.sampled_from(["upsert", "upsert", "delete"])), "version": version}
    if data["action"] == "upsert":
        data |= PRESENT[kind] | ({"exp": 2 + version} if kind == "license" else {})
        if kind == "user":
            data["status"] = draw(st.sampled_from(["registered", "deactivated", "invited"]))
    offset_ms = draw(st.sampled_from([-40 * DAY_MS, -1, -1, 0, 0, 1, 40 * DAY_MS]))
    event = {
        "specversion": "1.0",
        "id": "change",
        "source": "svc/identity",
        "type": f"directory.{kind}",
        "time": rfc3339(CHANGE_MS + offset_ms),
        "subject": organization if kind == "organization" else draw(st.sampled_from(PEOPLE)),
        "organizationid": organization,
        "data": data,
    }
    return json.dumps(event).encode()


def both_topics(bad: st.SearchStrategy[bytes]) -> st.SearchStrategy[list[tuple[str, bytes]]]:
    """Return lists of (topic, line), usage and directory events mixed, and bad lines of either."""
    line = st.one_of(
        st.tuples(st.just("events"), lines()),
        st.tuples(st.just(DIRECTORY), changes(st.integers(0, 6))),
        st.tuples(st.sampled_from(["events", DIRECTORY]), bad),
    )
    return st.lists(line, min_size=1, max_size=40)
