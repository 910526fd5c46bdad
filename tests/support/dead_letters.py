"""Dead letters made by hand, for tests of what is done with them."""

import json

from services.dead_letter_log import DeadLetter
from services.dead_letters import DeadLetterOrigin
from services.replays import Descent

_ATTRIBUTES = {
    "specversion": "1.0",
    "id": "e1",
    "source": "s",
    "type": "usage.chat",
    "time": "2026-08-22T08:00:00Z",
    "subject": "ann",
    "organizationid": "acme",
}
_DATA = {"interactions": 1}

EVENT = json.dumps(_ATTRIBUTES | {"data": _DATA}).encode()
BINARY = json.dumps(_DATA).encode()
HEADERS = tuple((f"ce_{name}", text.encode()) for name, text in _ATTRIBUTES.items())
"""`EVENT` in binary mode, with `BINARY` as its value."""


def letter(
    *,
    partition: int = 0,
    offset: int = 17,
    reason: str = "negative",
    field: str | None = None,
    topic: str = "usage.events",
    rejected_at_ms: int = 100,
    value: bytes | None = EVENT,
    key: bytes | None = b"acme",
    headers: tuple[tuple[str, bytes], ...] = (),
    descent: Descent | None = None,
) -> DeadLetter:
    origin = DeadLetterOrigin(
        reason=reason, field=field, topic=topic, partition=3, offset=5, rejected_at_ms=rejected_at_ms
    )
    return DeadLetter(
        partition=partition,
        offset=offset,
        timestamp_ms=rejected_at_ms,
        origin=origin,
        key=key,
        value=value,
        headers=headers,
        descent=descent,
    )


def event(**changes: object) -> bytes:
    """Return `EVENT` with other attributes; a change of None leaves one out."""
    changed = json.loads(EVENT) | changes
    return json.dumps({name: value for name, value in changed.items() if value is not None}).encode()
