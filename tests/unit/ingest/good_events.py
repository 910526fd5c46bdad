"""Good events as bytes, and the admission that the tests of this directory judge them by."""

import copy
import json
from typing import Any

from ingest.admission import Admission
from ingest.verdicts import AdmissionRules
from services.events import UnknownFields

TIME_MS = 1_787_385_600_000
TIME = "2026-08-22T08:00:00Z"
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
MAX_AGE_MS = 35 * DAY_MS
MAX_AHEAD_MS = 300_000
MAX_BYTES = 65_536

DATA: dict[str, dict[str, Any]] = {
    "usage.code_completion": {"completions": 1, "charsCompleted": 40, "keystrokes": 0, "lines": 2, "suggestions": 3},
    "usage.chat": {"interactions": 1, "usefulChatInteractions": 1, "costMicros": 2**31 - 1, "ide": "vscode"},
    "usage.agent": {"interactions": 2, "linesAdded": 4, "agentType": "coder", "language": "go", "model": "m"},
    "usage.instruct": {"acceptedCount": 1},
}

GOOD: dict[str, Any] = {
    "specversion": "1.0",
    "id": "e-1",
    "source": "/ide/vscode",
    "type": "usage.chat",
    "time": TIME,
    "subject": "user-1",
    "organizationid": "org-1",
    "teamid": "team-1",
    "data": DATA["usage.chat"],
}


def event(*without: str, **changes: Any) -> dict[str, Any]:
    """Return a good event with some members changed or left out."""
    whole = copy.deepcopy(GOOD) | changes
    return {name: value for name, value in whole.items() if name not in without}


def compact(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")


def admission(unknown_fields: UnknownFields = "refuse", max_age_ms: int | None = MAX_AGE_MS) -> Admission:
    return Admission(
        AdmissionRules(
            ignore_unknown=unknown_fields == "ignore",
            max_bytes=MAX_BYTES,
            max_age_ms=max_age_ms,
            max_ahead_ms=MAX_AHEAD_MS,
        )
    )
