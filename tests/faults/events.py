"""Single events, for tests that look at what becomes of each."""

import json
from typing import Final

from services.clock import now_ms
from tests.support.oracle import to_text
from tests.support.pipeline import ROOT

ORGANIZATION: Final = "acme"
PRODUCER_GUIDE: Final = ROOT / "deploy" / "docs" / "producers.md"


def chat(event_id: str, *, interactions: int = 1, after_ms: int = 0) -> bytes:
    """Return a chat event of one user, whose `time` is so much after now."""
    event = {
        "specversion": "1.0",
        "id": event_id,
        "source": "/tests",
        "type": "usage.chat",
        "time": to_text(now_ms() + after_ms),
        "subject": "ada",
        "organizationid": ORGANIZATION,
        "data": {"interactions": interactions},
    }
    return json.dumps(event).encode()


def guide() -> str:
    """Return the guide for producers with single spaces, as a person reads it."""
    return " ".join(PRODUCER_GUIDE.read_text().split())
