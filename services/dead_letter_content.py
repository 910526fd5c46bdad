"""What can be read of a refused record: its event, its identity, its organization. Pure.

Nothing here judges. What a record does not plainly say is unknown, None.
"""

import json
from collections.abc import Sequence
from typing import Final

import msgspec

from services.binary_mode import is_binary_mode, structured_form
from services.event_rules import WrongTime, is_id_text, is_identity_text, read_time_ms
from services.line_keys import organization_key
from services.record_object import RecordFault, read_object, read_value
from services.strict_json import Members

READ_BYTES_MAX: Final = 4 * 1024 * 1024
"""Longest value that is looked into; beyond what any topic of ours takes uncompressed."""

IDENTITY: Final = ("id", "source", "organizationid", "time")
"""What makes an event this event: a copy is known by the first three, within a day of the fourth."""

Headers = Sequence[tuple[str, bytes]]


def event_text(value: bytes | None, headers: Headers) -> bytes | None:
    """Return the record's event as compact JSON in structured form, None where it is no sound object."""
    try:
        text = structured(value, headers)
        read_object(text, READ_BYTES_MAX)
        return compact(text or b"")
    except (RecordFault, ValueError):
        return None


def structured(value: bytes | None, headers: Headers) -> bytes | None:
    """Return the value in structured form, as it is where it has that already.

    Raises:
        RecordFault: the record is in binary mode and has none.
    """
    return structured_form(value, headers, READ_BYTES_MAX) if is_binary_mode(headers) else value


def compact(text: bytes) -> bytes:
    """Return JSON without the space between its parts, every number as it was written.

    Raises:
        ValueError: it is no JSON.
    """
    try:
        formatted = msgspec.json.format(text, indent=-1)
        # What cannot stand in a line of JSON must not get there: half of a surrogate pair, bytes that are no UTF-8.
        json.dumps(json.loads(formatted), ensure_ascii=False).encode()
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ValueError(str(error)) from error
    return formatted


def is_same_json(one: bytes, other: bytes) -> bool:
    """Whether two texts say the same, however they are spaced, escaped and ordered; 1, 1.0 and true are not the same.

    Raises:
        ValueError: one is no JSON.
    """
    return _canonical(one) == _canonical(other)


def identity(value: bytes | None, headers: Headers) -> dict[str, str]:
    """Return those of `IDENTITY` that the record says in a form the contract takes; the others are left out."""
    members = _members(value, headers)
    said: dict[str, str] = {}
    for name in IDENTITY:
        texts = [text for key, text in members if key == name]
        if len(texts) == 1 and isinstance(texts[0], str) and _is_good(name, texts[0]):
            said[name] = texts[0]
    return said


def is_same_identity(name: str, one: str, other: str | None) -> bool:
    """Whether two texts of one of `IDENTITY` say the same; a moment may be written with another offset from UTC."""
    if other is None or name != "time":
        return one == other
    try:
        return read_time_ms(one) == read_time_ms(other)
    except WrongTime:
        return False


def organization(value: bytes | None, headers: Headers) -> str | None:
    """Return the organization that a record names, whatever else is wrong with it; None where none can be read."""
    for name, text in _members(value, headers):
        if name == "organizationid" and isinstance(text, str):
            return text
    # Half a record may still hold it, as `tidemark publish` finds it for the key.
    found = organization_key(value or b"")
    return None if found is None else found.decode("utf-8", "replace")


def _members(value: bytes | None, headers: Headers) -> list[tuple[str, object]]:
    try:
        read = read_value(structured(value, headers), READ_BYTES_MAX)
    except RecordFault:
        return []
    return read.pairs if isinstance(read, Members) else []


def _is_good(name: str, text: str) -> bool:
    match name:
        case "time":
            try:
                read_time_ms(text)
            except WrongTime:
                return False
            return True
        case "organizationid":
            return is_id_text(text)
        case _:
            return is_identity_text(text)


def _canonical(text: bytes) -> str:
    try:
        return json.dumps(json.loads(text), sort_keys=True)
    except RecursionError as error:
        raise ValueError("nested too deep") from error
