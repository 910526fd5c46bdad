"""Single usage events as JSON, for tests in which each one matters."""

import json
from typing import Any

from tests.support.oracle import to_text


def event_line(event_id: str, time_ms: int, **changes: Any) -> bytes:
    """Return a chat event of one interaction at a whole second; a change of None leaves the attribute out."""
    event = {
        "specversion": "1.0",
        "id": event_id,
        "source": "tests",
        "type": "usage.chat",
        "time": to_text(time_ms),
        "subject": "ann",
        "organizationid": "acme",
        "teamid": "core",
        "data": {"interactions": 1},
    }
    return json.dumps({name: value for name, value in (event | changes).items() if value is not None}).encode()
