"""CloudEvents in binary mode: attributes in `ce_` headers, `data` as the value. Pure.

A record in binary mode is written as the structured event that it stands for, and judged and read as such.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from services.dead_letters import Reason
from services.record_object import RecordFault, read_value

Headers = Sequence[tuple[str, bytes | None]]

PREFIX: Final = "ce_"
CONTENT_TYPE: Final = "content-type"
_MARK: Final = "ce_specversion"
_STRUCTURED: Final = b"application/cloudevents"
_encode: Final = msgspec.json.Encoder().encode
_one_value: Final = msgspec.json.Decoder(msgspec.Raw)


def is_binary_mode(headers: Headers) -> bool:
    """Whether the headers carry an event's attributes; a content type of CloudEvents says that the value does."""
    return any(name == _MARK for name, _ in headers) and not any(
        name == CONTENT_TYPE and (value or b"").strip().lower().startswith(_STRUCTURED) for name, value in headers
    )


def structured_form(value: bytes | None, headers: Headers, max_bytes: int) -> bytes:
    """Return the structured event in JSON.

    Args:
        value: of the record, the event's `data`.
        headers: of the record; those that are not CloudEvents attributes are passed over.
        max_bytes: longest value that is looked into.

    Raises:
        RecordFault: there is none.
    """
    # The value must be one JSON value by itself: spliced in unchecked, it could close `data` and add attributes.
    if value is None or not _is_one_value(value):
        read_value(value, max_bytes)
        assert value is not None  # a null record is a fault
    members = []
    for name, text in headers:
        attribute = attribute_of(name)
        if attribute is None:
            continue
        try:
            written = _encode(None if text is None else text.decode())
        except UnicodeDecodeError as error:
            raise RecordFault(Reason.NOT_UTF8, attribute) from error
        if name == CONTENT_TYPE and text is not None and not _is_json(text):
            raise RecordFault(Reason.WRONG_TYPE, attribute, "data is JSON in this contract")
        members.append(_encode(attribute) + b":" + written)
    return b"{" + b",".join([*members, b'"data":' + value]) + b"}"


def attribute_of(header: str) -> str | None:
    """Return the attribute that a header carries in binary mode, None where it carries none."""
    if header == CONTENT_TYPE:
        return "datacontenttype"
    return header.removeprefix(PREFIX) if header.startswith(PREFIX) else None


def _is_one_value(value: bytes) -> bool:
    try:
        _one_value.decode(value)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return False
    return True


def _is_json(content_type: bytes) -> bool:
    media_type = content_type.split(b";")[0].strip().lower()
    return media_type in (b"application/json", b"text/json") or media_type.endswith(b"+json")
