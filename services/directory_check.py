"""Is a record a directory event of the contract, and what does it change? Pure; ingest and the importer ask here.

What `msgspec` sees while it decodes comes first, in the order of the record's text; then characters of ids, reserved
ids, times, and the rules that join fields.
"""

import re
from collections.abc import Iterator
from typing import Final

import msgspec

from services.dead_letters import MEANINGS, Reason
from services.directory import (
    EMAIL_PATTERN,
    THING_OF_TYPE,
    DeleteData,
    DirectoryEvent,
    Status,
    Thing,
    directory_decoder,
)
from services.directory_records import DirectoryChange, encode_record
from services.event_rules import (
    TimeWithoutOffset,
    WrongTime,
    has_bad_id_characters,
    has_bad_identity_characters,
    read_time_ms,
)
from services.events import RESERVED_IDS, UnknownFields
from services.identifiers import OrganizationId
from services.windows import rfc3339

_PLACE: Final = re.compile(r"(?P<words>.*?)(?: - at `\$\.?(?P<path>.*)`)?", re.DOTALL)
_NAMED: Final = re.compile(r"Object (?P<what>missing required|contains unknown) field `(?P<name>.*)`", re.DOTALL)
_ITEM: Final = re.compile(r"\[[0-9]+\]")
_IDS: Final = frozenset({"id", "source", "subject", "organizationid", "data.parentId", "data.teamId", "data.leads[]"})
_REASONS: Final = (
    ("Expected `int` >=", False, Reason.NEGATIVE),
    ("Expected `int`, got `float`", False, Reason.NOT_AN_INTEGER),
    ("Expected `int | null`, got `float`", False, Reason.NOT_AN_INTEGER),
    ("Expected `int` <=", False, Reason.TOO_BIG),
    ("Integer value out of range", False, Reason.TOO_BIG),
    ("Expected `str` of length >= 1", True, Reason.EMPTY_ID),
    ("Expected `str` of length <=", True, Reason.ID_TOO_LONG),
    ("Expected `str` of length <=", False, Reason.TOO_BIG),
    ("Expected `array` of length <=", False, Reason.TOO_BIG),
)
"""How a message begins, whether only of an id, and the reason; the first that fits."""

_EMAIL: Final = re.compile(EMAIL_PATTERN)
_TIMES: Final = ("createdAt", "updatedAt", "deactivatedAt")


class DirectoryFault(ValueError):
    """A record is no directory event of the contract; `reason`, `field` and `detail` as in `ingest.verdicts`."""

    def __init__(self, reason: Reason, field: str | None, detail: str | None = None) -> None:
        self.reason = reason
        self.field = field
        self.detail = detail or MEANINGS[reason]
        super().__init__(f"{field}: {self.detail}" if field else self.detail)


def read_directory_event(value: bytes, unknown_fields: UnknownFields) -> DirectoryChange:
    """Return what a directory event in structured form changes.

    Raises:
        DirectoryFault: it breaks the contract. Duplicate keys and the depth are not seen here.
    """
    try:
        event = directory_decoder(unknown_fields).decode(value)
    except msgspec.ValidationError as error:
        raise _fault_of(str(error)) from error
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise DirectoryFault(Reason.NOT_JSON, None, str(error)) from error
    thing = THING_OF_TYPE[str(event.__struct_config__.tag)]
    for field, text in (("id", event.id), ("source", event.source)):
        if has_bad_identity_characters(text):
            raise DirectoryFault(Reason.BAD_ID, field)
    time_ms = _time_ms("time", event.time)
    for field, id_text in _ids_of(event):
        if has_bad_id_characters(id_text):
            raise DirectoryFault(Reason.BAD_ID, field)
        if id_text in RESERVED_IDS:
            raise DirectoryFault(Reason.RESERVED_ID, field)
    if thing is Thing.ORGANIZATION and event.subject != event.organizationid:
        raise DirectoryFault(Reason.WRONG_TYPE, "organizationid", "not the subject, which is the organization's id")
    return DirectoryChange(
        thing=thing,
        organization=OrganizationId(event.organizationid),
        subject=event.subject,
        version=event.data.version,
        time_ms=time_ms,
        status=_status(event),
        record=_record(event),
    )


def _fault_of(words: str) -> DirectoryFault:
    """Return the fault that a message of msgspec tells of, without any value of the record."""
    match = _PLACE.fullmatch(words)
    assert match is not None  # the pattern takes any text
    said, path = match["words"], match["path"] or ""
    if named := _NAMED.fullmatch(said):
        field = f"{path}.{named['name']}" if path else named["name"]
        missing = named["what"] == "missing required"
        return DirectoryFault(Reason.MISSING_ATTRIBUTE if missing else Reason.UNKNOWN_FIELD, field)
    if path == "type" and said.startswith("Invalid"):
        return DirectoryFault(Reason.UNKNOWN_TYPE, path)
    if path in ("", "data") and said.startswith("Expected `object`"):
        return DirectoryFault(Reason.NOT_AN_OBJECT, path or None)
    if said.endswith("got `null`") and not path.endswith("]"):
        return DirectoryFault(Reason.MISSING_ATTRIBUTE, path)
    for beginning, only_ids, reason in _REASONS:
        if said.startswith(beginning) and (not only_ids or _ITEM.sub("[]", path) in _IDS):
            return DirectoryFault(reason, path or None, said)
    # An invalid value is not repeated: it may be anything.
    return DirectoryFault(Reason.WRONG_TYPE, path or None, None if said.startswith("Invalid") else said)


def _ids_of(event: DirectoryEvent) -> Iterator[tuple[str, str]]:
    named = {"subject": event.subject, "organizationid": event.organizationid}
    for name in ("parentId", "teamId"):
        named[f"data.{name}"] = getattr(event.data, name, None) or ""
    for at, team in enumerate(getattr(event.data, "leads", None) or ()):
        named[f"data.leads[{at}]"] = team
    # What is absent is empty here; what was sent is not, for msgspec saw to that.
    yield from ((field, text) for field, text in named.items() if text)


def _status(event: DirectoryEvent) -> Status | None:
    status = getattr(event.data, "status", None)
    return None if status is None else Status(status)


def _record(event: DirectoryEvent) -> bytes | None:
    """Return the record as it is stored, None for a delete."""
    if event.data.__struct_config__.tag == DeleteData.__struct_config__.tag:
        return None
    fields = {name: value for name, value in msgspec.structs.asdict(event.data).items() if value is not None}
    del fields["version"]
    for name in _TIMES:
        if name in fields:
            # Whole seconds, rounded down (contract notes A30).
            fields[name] = rfc3339(_time_ms(f"data.{name}", fields[name]) // 1000 * 1000)
    if "email" in fields and not _EMAIL.fullmatch(fields["email"]):
        raise DirectoryFault(Reason.WRONG_TYPE, "data.email", "not of the form name@domain, or with a space")
    if "exp" in fields and fields["exp"] <= fields["iat"]:
        raise DirectoryFault(Reason.WRONG_TYPE, "data.exp", "not later than data.iat")
    try:
        return encode_record(fields)
    except (OverflowError, UnicodeError, TypeError) as error:
        raise DirectoryFault(Reason.TOO_BIG, "data", "a number is beyond 64 bits, or a text is no UTF-8") from error


def _time_ms(field: str, text: str) -> int:
    try:
        return read_time_ms(text)
    except TimeWithoutOffset as error:
        raise DirectoryFault(Reason.TIME_WITHOUT_OFFSET, field) from error
    except WrongTime as error:
        raise DirectoryFault(Reason.WRONG_TYPE, field, str(error)) from error
