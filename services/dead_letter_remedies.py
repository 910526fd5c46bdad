"""What mends a refused record, a sentence for each reason. Pure."""

from types import MappingProxyType
from typing import Final

from services.dead_letters import Reason

REMEDIES: Final = MappingProxyType(
    {
        Reason.NULL_RECORD: "Give the event that the record should have held; there is nothing in it to send again.",
        Reason.TOO_LARGE: "Shorten it, or raise events.max_bytes (at most 1 MiB) and replay it as it is.",
        Reason.NOT_UTF8: "Write the text as UTF-8; the place of the first wrong byte is shown.",
        Reason.TOO_DEEP: "Make it flatter; the contract itself needs no more than two levels.",
        Reason.NOT_JSON: "Write the event as one JSON object; the place where reading stopped is shown.",
        Reason.DUPLICATE_KEY: "Take one of the two out.",
        Reason.NOT_A_NUMBER: "Give the number, or leave the field out.",
        Reason.NOT_AN_OBJECT: "Give one event as one JSON object, and its data as another.",
        Reason.MISSING_ATTRIBUTE: "Give it.",
        Reason.WRONG_TYPE: "Give it in the form that the contract has (`tidemark schema`).",
        Reason.UNKNOWN_TYPE: "Give a type of the contract (`tidemark schema`), and to each topic its own.",
        Reason.EMPTY_ID: "Give the id; a teamid may be left out.",
        Reason.ID_TOO_LONG: "Give an id of at most 128 characters (id and source: 256).",
        Reason.BAD_ID: "Take control characters and `/` out of the id.",
        Reason.RESERVED_ID: "Take another id.",
        Reason.TIME_WITHOUT_OFFSET: "Add the offset from UTC, such as Z or +02:00.",
        Reason.UNKNOWN_FIELD: "Leave the field out, or set events.unknown_fields to ignore and replay it as it is.",
        Reason.NOT_AN_INTEGER: "Write the whole number without fraction and exponent.",
        Reason.NEGATIVE: "Give a number from 0 on.",
        Reason.TOO_BIG: "Give a number up to 2^31 - 1, or a text of at most 64 characters.",
        Reason.TOO_OLD: "It cannot be replayed with its time kept, for it only grows older: raise events.max_age, or"
        " lift events.max_age, keep_hours and keep_days together for a run, and replay with --keep-old.",
        Reason.IN_THE_FUTURE: "Replay it as it is once its time has come, or correct its time.",
        Reason.SKIPPED_FRAME: "It is a frame, not an event, and is not replayed: with a release that can fold it,"
        " publish its value to the partition of the frames topic that it came from.",
    }
)


def remedy(reason: str | None) -> str | None:
    """Return what mends a record refused for a reason, None for a reason that this release does not know."""
    try:
        return REMEDIES[Reason(reason or "")]
    except ValueError:
        return None
