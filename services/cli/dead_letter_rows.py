"""A dead letter as a JSON object and as a row of a table."""

import base64
from typing import Any, Final

import msgspec

from services.dead_letter_content import event_text, organization
from services.dead_letter_log import DeadLetter
from services.replays import ReplayNote
from services.windows import rfc3339

FIRST_CHARACTERS: Final = 60

COLUMNS: Final = (
    *("id", "reason", "field", "organization", "came from", "rejected at", "replayed"),
    "begins with",
)


def members(letter: DeadLetter, note: ReplayNote | None = None) -> dict[str, Any]:
    """Return a dead letter as the JSON object of its line.

    Args:
        note: says that it was published again.
    """
    origin = letter.origin
    event = event_text(letter.value, letter.headers)
    return {
        "id": str(letter.id),
        "reason": letter.reason,
        "field": letter.field,
        "organization": organization(letter.value, letter.headers),
        "topic": None if origin is None else origin.topic,
        "partition": None if origin is None else origin.partition,
        "offset": None if origin is None else origin.offset,
        "rejectedAt": rfc3339(letter.rejected_at_ms),
        "replayed": None if note is None else {"at": rfc3339(note.at_ms), "edited": note.edited, "run": note.run},
        "replayOf": None if letter.descent is None else str(letter.descent.last),
        "firstLetter": None if letter.descent is None else str(letter.descent.first),
        "event": None if event is None else msgspec.Raw(event),
        "key": readable(letter.key),
        "value": readable(letter.value),
        "headers": [{"name": name, **(readable(value) or {})} for name, value in letter.headers],
        "deadLetter": {"partition": letter.partition, "offset": letter.offset},
    }


def readable(value: bytes | None) -> dict[str, str] | None:
    if value is None:
        return None
    try:
        return {"text": value.decode()}
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(value).decode()}


def cells(letter: DeadLetter, note: ReplayNote | None) -> tuple[object, ...]:
    """Return what a table shows under `COLUMNS`."""
    origin = letter.origin
    came_from = None if origin is None else f"{origin.topic} {origin.partition}:{origin.offset}"
    begins = "" if letter.value is None else letter.value[: 4 * FIRST_CHARACTERS].decode(errors="replace")
    replayed = "" if note is None else rfc3339(note.at_ms)
    return (
        str(letter.id),
        letter.reason,
        printable(letter.field or ""),
        printable(organization(letter.value, letter.headers) or "unknown"),
        came_from,
        rfc3339(letter.rejected_at_ms),
        replayed,
        printable(begins[:FIRST_CHARACTERS]),
    )


def printable(text: str) -> str:
    """Return a text that a terminal shows and does not obey."""
    return "".join(each if each.isprintable() else "�" for each in text)
