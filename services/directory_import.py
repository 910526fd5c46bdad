"""Lines of a file, checked as directory events before any is published; what is bad comes with a remedy. Pure."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

import msgspec

from services.dead_letters import MEANINGS, Reason
from services.directory import EVENT_TYPES, THING_OF_TYPE, Thing
from services.directory_check import DirectoryFault, read_directory_event
from services.directory_fields import takes
from services.directory_records import DirectoryChange
from services.events import UnknownFields
from services.identifiers import OrganizationId
from services.record_object import RecordFault, read_object
from services.strict_json import has_duplicate_keys, lone_surrogate


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportRules:
    """What the settings decide about events that are to be published.

    Attributes:
        max_bytes: longest event.
        latest_ms: no event's `time` is after it, so that none lies too far ahead of its record's broker time.
    """

    unknown_fields: UnknownFields
    max_bytes: int
    latest_ms: int


class GoodEvent(NamedTuple):
    """An event that ingest will take, with where it stands in the file."""

    line: int
    thing: Thing
    organization: OrganizationId
    subject: str
    version: int
    value: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class BadRow:
    """What is wrong in a file, and what to do.

    Attributes:
        line: from 1; of a row over several lines the first.
        field: path in the event, or column of the table; None when no single one is at fault.
    """

    line: int
    field: str | None
    remedy: str

    def __str__(self) -> str:
        return f"line {self.line}, {self.field}: {self.remedy}" if self.field else f"line {self.line}: {self.remedy}"


Checked = GoodEvent | BadRow

_REMEDIES: Final = {
    Reason.MISSING_ATTRIBUTE: "is missing; give {takes}",
    Reason.UNKNOWN_FIELD: "is no field of {thing}; leave it out",
    Reason.UNKNOWN_TYPE: "give {takes}",
    Reason.DUPLICATE_KEY: "comes twice in its object; take one out",
    Reason.NOT_A_NUMBER: "is no number that JSON can hold; take it out",
    Reason.RESERVED_ID: "is reserved; take another id than usage, account-utilizations and agent-usage",
    Reason.TIME_WITHOUT_OFFSET: "add the offset from UTC, such as Z or +02:00",
    Reason.IN_THE_FUTURE: "lies ahead of now; give the time of the change",
    Reason.TOO_LARGE: "the event is longer than {max_bytes} bytes; shorten its texts and lists",
    Reason.TOO_DEEP: "objects and lists are nested more than 16 deep; make it flatter",
    Reason.NOT_AN_OBJECT: "is no JSON object; give one whole event on each line",
}
"""What to do about a fault. For other reasons it is to give what the contract takes."""

_PLACE: Final = re.compile(r": line \d+ column (\d+) \(char \d+\)$")
"""Where a parser stopped, in a text of one line."""


class _Typed(msgspec.Struct):
    type: str = ""


_typed: Final = msgspec.json.Decoder(_Typed)


def check_lines(lines: Iterable[bytes], rules: ImportRules) -> Iterator[Checked]:
    """Yield what each line is, blank ones left out."""
    for number, line in enumerate(lines, start=1):
        if line.strip():
            yield check_event(number, line, rules)


def check_event(line: int, value: bytes, rules: ImportRules) -> Checked:
    """Return what ingest will take, or the first fault that it would name."""
    try:
        change = _read(value, rules)
    except (RecordFault, DirectoryFault) as fault:
        return BadRow(line=line, field=fault.field, remedy=_remedy(fault, value, rules))
    return GoodEvent(line, change.thing, change.organization, change.subject, change.version, value)


def _read(value: bytes, rules: ImportRules) -> DirectoryChange:
    if not _is_plain(value, rules):
        _check_object(value, rules)
    change = read_directory_event(value, rules.unknown_fields)
    if change.time_ms > rules.latest_ms:
        raise DirectoryFault(Reason.IN_THE_FUTURE, "time")
    return change


def _is_plain(value: bytes, rules: ImportRules) -> bool:
    """Whether the contract's structs alone see every fault: reading strictly as well takes five times as long.

    Without an escape no text holds half a surrogate pair, and without free fields nothing is nested or endless.
    """
    if rules.unknown_fields == "ignore" or len(value) > rules.max_bytes or b"\\" in value or b"settings" in value:
        return False
    if not value.lstrip().startswith(b"{"):
        return False
    try:
        return not has_duplicate_keys(value.decode())
    except (ValueError, RecursionError):
        return False


def _check_object(value: bytes, rules: ImportRules) -> None:
    if (path := lone_surrogate(read_object(value, rules.max_bytes))) is not None:
        raise RecordFault(Reason.WRONG_TYPE, path, "holds half of a surrogate pair; write the whole character")


def _remedy(fault: RecordFault | DirectoryFault, value: bytes, rules: ImportRules) -> str:
    thing = _thing_of(value)
    taken = takes(fault.field or "", thing)
    if template := _REMEDIES.get(fault.reason):
        of_what = "a directory event" if thing is None else EVENT_TYPES[thing]
        return template.format(takes=taken or "it", thing=of_what, max_bytes=rules.max_bytes)
    if fault.reason is Reason.NOT_JSON:
        return "no JSON: " + _PLACE.sub(r", character \1", fault.detail)
    # What is not about the type of one field, the contract's own words say better than what the field takes.
    if taken is None or not (fault.detail.startswith("Expected") or fault.detail == MEANINGS[fault.reason]):
        return fault.detail
    return f"give {taken}"


def _thing_of(value: bytes) -> Thing | None:
    try:
        return THING_OF_TYPE.get(_typed.decode(value).type)
    except (msgspec.MsgspecError, UnicodeError):
        return None
