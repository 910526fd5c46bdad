"""The dead letter: a record that was refused, unchanged, with why and whence in headers of its own."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

Headers = Sequence[tuple[str, bytes]]

HEADER_PREFIX: Final = "tidemark-"
REASON: Final = "tidemark-reason"
FIELD: Final = "tidemark-field"
TOPIC: Final = "tidemark-topic"
PARTITION: Final = "tidemark-partition"
OFFSET: Final = "tidemark-offset"
REJECTED_AT: Final = "tidemark-rejected-at"


class Reason(StrEnum):
    """Why a record is refused; `MEANINGS` has a sentence for each."""

    NULL_RECORD = "null_record"
    TOO_LARGE = "too_large"
    NOT_UTF8 = "not_utf8"
    TOO_DEEP = "too_deep"
    NOT_JSON = "not_json"
    DUPLICATE_KEY = "duplicate_key"
    NOT_A_NUMBER = "not_a_number"
    NOT_AN_OBJECT = "not_an_object"
    MISSING_ATTRIBUTE = "missing_attribute"
    WRONG_TYPE = "wrong_type"
    UNKNOWN_TYPE = "unknown_type"
    EMPTY_ID = "empty_id"
    ID_TOO_LONG = "id_too_long"
    BAD_ID = "bad_id"
    RESERVED_ID = "reserved_id"
    TIME_WITHOUT_OFFSET = "time_without_offset"
    UNKNOWN_FIELD = "unknown_field"
    NOT_AN_INTEGER = "not_an_integer"
    NEGATIVE = "negative"
    TOO_BIG = "too_big"
    TOO_OLD = "too_old"
    IN_THE_FUTURE = "in_the_future"
    SKIPPED_FRAME = "skipped_frame"


MEANINGS: Final = MappingProxyType(
    {
        Reason.NULL_RECORD: "The record has no value.",
        Reason.TOO_LARGE: "The record is longer than the setting events.max_bytes allows.",
        Reason.NOT_UTF8: "The value is not UTF-8.",
        Reason.TOO_DEEP: "Objects and arrays are nested more than 16 deep.",
        Reason.NOT_JSON: "The value is not JSON (RFC 8259).",
        Reason.DUPLICATE_KEY: "An object has the same key twice.",
        Reason.NOT_A_NUMBER: "A number is NaN, infinite or beyond what a double holds.",
        Reason.NOT_AN_OBJECT: "The event, or its data, is JSON but not an object.",
        Reason.MISSING_ATTRIBUTE: "A required attribute is absent or null.",
        Reason.WRONG_TYPE: "A value is of another kind or form than the contract says.",
        Reason.UNKNOWN_TYPE: "The event's type is none that this topic takes.",
        Reason.EMPTY_ID: "An id is empty.",
        Reason.ID_TOO_LONG: "An id has more than 128 characters (id and source: 256).",
        Reason.BAD_ID: "An id holds a control character, a lone surrogate or (id and source may) a slash.",
        Reason.RESERVED_ID: "An id is usage, account-utilizations or agent-usage.",
        Reason.TIME_WITHOUT_OFFSET: "The time does not say its offset from UTC.",
        Reason.UNKNOWN_FIELD: "The contract does not know a field (setting events.unknown_fields).",
        Reason.NOT_AN_INTEGER: "A whole number is written with a fraction or an exponent.",
        Reason.NEGATIVE: "A number is below 0.",
        Reason.TOO_BIG: "A number, a text or a list is larger than the contract allows.",
        Reason.TOO_OLD: "The event's time is further behind its record's broker time than events.max_age.",
        Reason.IN_THE_FUTURE: "The event's time is further ahead of its record's broker time than events.max_ahead.",
        Reason.SKIPPED_FRAME: "Not an event but a frame of them, which an operator gave up by `tidemark frames skip`.",
    }
)
"""One line for each reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetterOrigin:
    """What the headers of a dead letter say.

    Attributes:
        reason: as written; kept as text, since an older or newer release may have written it.
        field: path of the field at fault, e.g. `data.lines`; None when no single field is.
        topic, partition, offset: of the refused record.
        rejected_at_ms: wall clock of the worker that refused it.
    """

    reason: str
    field: str | None
    topic: str
    partition: int
    offset: int
    rejected_at_ms: int


def dead_letter_headers(
    original: Headers,
    reason: Reason,
    field: str | None,
    topic: str,
    partition: int,
    offset: int,
    rejected_at_ms: int,
) -> list[tuple[str, bytes]]:
    """Return the headers of a dead letter: the record's own, unchanged and in order, then ours.

    A record that is itself a dead letter published again may carry older ones of ours: the last of a name counts.
    """
    ours = {REASON: reason.value} | ({} if field is None else {FIELD: field})
    ours |= {TOPIC: topic, PARTITION: str(partition), OFFSET: str(offset), REJECTED_AT: str(rejected_at_ms)}
    # A field's name comes from the record and may hold a lone surrogate.
    return [*original, *((name, text.encode("utf-8", "backslashreplace")) for name, text in ours.items())]


def read_dead_letter_headers(headers: Headers) -> DeadLetterOrigin | None:
    """Return what the headers say, or None when they are not a dead letter's."""
    begin = max((at for at, (name, _) in enumerate(headers) if name == REASON), default=None)
    if begin is None:
        return None
    texts = {name: (value or b"").decode("utf-8", "replace") for name, value in headers[begin:]}
    try:
        return DeadLetterOrigin(
            reason=texts[REASON],
            field=texts.get(FIELD),
            topic=texts[TOPIC],
            partition=int(texts[PARTITION]),
            offset=int(texts[OFFSET]),
            rejected_at_ms=int(texts[REJECTED_AT]),
        )
    except (KeyError, ValueError):
        return None


def own_headers(headers: Headers, name: str) -> list[str]:
    """Return the values of a header of ours, in order, as text."""
    return [(value or b"").decode("utf-8", "replace") for each, value in headers if each == name]


def original_headers(headers: Headers) -> list[tuple[str, bytes]]:
    """Return the headers that the refused record came with, as far as they can be told from ours."""
    return [(name, value) for name, value in headers if not name.startswith(HEADER_PREFIX)]
