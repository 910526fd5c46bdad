"""Does a record hold one sound JSON object? The part of every contract that no struct sees. Pure.

Ingest asks for every record that the quick way does not pass; a publisher that checks a file asks the same.
"""

from typing import Final

from services.dead_letters import MEANINGS, Reason
from services.strict_json import Members, NotJson, depth_exceeds, duplicate_key, not_a_number, parse

LEVELS_MAX: Final = 16


class RecordFault(ValueError):
    """What is wrong with a record; `reason`, `field` and `detail` as in `ingest.verdicts`."""

    def __init__(self, reason: Reason, field: str | None = None, detail: str | None = None) -> None:
        self.reason = reason
        self.field = field
        self.detail = detail or MEANINGS[reason]
        super().__init__(f"{field}: {self.detail}" if field else self.detail)


def read_object(value: bytes | None, max_bytes: int) -> Members:
    """Return the record's object.

    Raises:
        RecordFault: it is too long, no JSON, nested too deep, or has equal keys or endless numbers; or no object.
    """
    parsed = read_value(value, max_bytes)
    for path, reason in (
        (duplicate_key(parsed), Reason.DUPLICATE_KEY),
        (not_a_number(parsed), Reason.NOT_A_NUMBER),
    ):
        if path is not None:
            raise RecordFault(reason, path or None)
    if not isinstance(parsed, Members):
        raise RecordFault(Reason.NOT_AN_OBJECT)
    return parsed


def read_value(value: bytes | None, max_bytes: int) -> object:
    """Return the record's one JSON value (`services.strict_json.parse`).

    Raises:
        RecordFault: it is too long, no JSON, or nested too deep.
    """
    if value is None:
        raise RecordFault(Reason.NULL_RECORD)
    if len(value) > max_bytes:
        raise RecordFault(Reason.TOO_LARGE)
    try:
        text = value.decode()
    except UnicodeDecodeError as error:
        raise RecordFault(Reason.NOT_UTF8, None, f"byte {error.start}: {error.reason}") from error
    if depth_exceeds(text, LEVELS_MAX):
        raise RecordFault(Reason.TOO_DEEP)
    try:
        return parse(text)
    except NotJson as error:
        raise RecordFault(Reason.NOT_JSON, None, str(error)) from error
