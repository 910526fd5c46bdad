"""CloudEvents in binary mode: attributes in `ce_` headers, `data` as the value. Pure.

A record in binary mode is written as the structured event that it stands for, and judged as such: the same contract,
the same reasons, field names without `ce_`. Its length is that of the structured form.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from ingest.diagnosis import record_fault
from ingest.verdicts import AdmissionRules, Rejected
from services.dead_letters import MEANINGS, Reason

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


def structured_form(value: bytes | None, headers: Headers, rules: AdmissionRules) -> bytes | Rejected:
    """Return the structured event in JSON, or why there is none.

    Args:
        value: of the record, the event's `data`.
        headers: of the record; those that are not CloudEvents attributes are passed over.
        rules: what the settings decide.
    """
    # The value must be one JSON value by itself: spliced in unchecked, it could close `data` and add attributes.
    if value is None or not _is_one_value(value):
        fault = record_fault(value, rules)
        if fault is not None:
            return fault
        assert value is not None  # a null record is a fault
    members = []
    for name, text in headers:
        attribute = _attribute(name)
        if attribute is None:
            continue
        try:
            written = _encode(None if text is None else text.decode())
        except UnicodeDecodeError:
            return Rejected(reason=Reason.NOT_UTF8, field=attribute, detail=MEANINGS[Reason.NOT_UTF8])
        if name == CONTENT_TYPE and text is not None and not _is_json(text):
            return Rejected(reason=Reason.WRONG_TYPE, field=attribute, detail="data is JSON in this contract")
        members.append(_encode(attribute) + b":" + written)
    return b"{" + b",".join([*members, b'"data":' + value]) + b"}"


def _is_one_value(value: bytes) -> bool:
    try:
        _one_value.decode(value)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return False
    return True


def _attribute(header: str) -> str | None:
    if header == CONTENT_TYPE:
        return "datacontenttype"
    return header.removeprefix(PREFIX) if header.startswith(PREFIX) else None


def _is_json(content_type: bytes) -> bool:
    media_type = content_type.split(b";")[0].strip().lower()
    return media_type in (b"application/json", b"text/json") or media_type.endswith(b"+json")
