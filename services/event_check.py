"""The contract as a producer meets it: an event that is written has been checked, or says what to change. Pure."""

import re
from typing import Final

import msgspec

from services.event_rules import (
    WrongTime,
    has_bad_id_characters,
    has_bad_identity_characters,
    read_time_ms,
)
from services.events import RESERVED_IDS, ReceivedEvent, UsageEvent, received_decoder

_PATH: Final = re.compile(r"(.*?)(?: - at `\$\.(.+)`)?", re.DOTALL)
_encoder: Final = msgspec.json.Encoder()


class ContractViolation(ValueError):
    """An event breaks the contract and was not sent.

    Attributes:
        field: path of the field at fault, e.g. `data.lines`; None when no single field is.
        remedy: what is wrong with it, or what to do.
    """

    def __init__(self, field: str | None, remedy: str) -> None:
        super().__init__(f"{field}: {remedy}" if field else remedy)
        self.field = field
        self.remedy = remedy


def encode_event(event: UsageEvent) -> bytes:
    """Return an event as the value of its record: compact UTF-8 JSON, what is absent left out.

    Raises:
        ContractViolation: ingest would refuse it, whatever its record's broker time.
    """
    try:
        value = _encoder.encode(event)
        received = received_decoder("refuse").decode(value)
    except msgspec.ValidationError as error:
        raise _violation(str(error)) from error
    except (msgspec.MsgspecError, UnicodeError, TypeError) as error:
        raise ContractViolation(None, f"cannot be written as JSON: {error}") from error
    _check_ids(received)
    _check_time(received.time)
    return value


def _violation(words: str) -> ContractViolation:
    match = _PATH.fullmatch(words)
    assert match is not None  # the pattern takes any text
    return ContractViolation(match[2], match[1])


def _check_ids(event: ReceivedEvent) -> None:
    for field, text in (("id", event.id), ("source", event.source)):
        if has_bad_identity_characters(text):
            raise ContractViolation(field, "take the control characters out")
    for field, id_text in (
        ("subject", event.subject),
        ("organizationid", event.organizationid),
        ("teamid", event.teamid),
    ):
        if id_text is None:
            continue
        if has_bad_id_characters(id_text):
            raise ContractViolation(field, "take control characters and `/` out")
        if id_text in RESERVED_IDS:
            raise ContractViolation(field, "is reserved, take another id")


def _check_time(text: str) -> None:
    try:
        read_time_ms(text)
    except WrongTime as error:
        raise ContractViolation("time", f"{error}; give an aware datetime, e.g. datetime.now(UTC)") from error
