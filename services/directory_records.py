"""What the store keeps of a thing of the directory, and what a change makes of it. Pure.

A stored value is msgpack of `StoredRecord`. The present is that of the highest version, whatever order the changes
come in; a delete leaves its version behind. Of a user the last change of each calendar month is kept beside it, so
that the state at any month's end can be told: the one of the latest `time` before it, late changes included.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from services.directory import Status, Thing
from services.identifiers import OrganizationId
from services.windows import DAY_MS, month_of_day

MONTHS_MAX: Final = 80
"""Most months of a user's history; the newest are kept. Six years and one month before them are asked for at most."""

STATUS_CODES: Final = {None: 0, Status.REGISTERED: 1, Status.DEACTIVATED: 2, Status.INVITED: 3}
"""A deleted user has none."""

STATUS_OF_CODE: Final = {code: status for status, code in STATUS_CODES.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectoryChange:
    """One accepted directory event.

    Attributes:
        subject: id of the thing.
        time_ms: the event's `time`.
        status: of a user that is not deleted, else None.
        record: the fields (`encode_record`); None for a delete.
    """

    thing: Thing
    organization: OrganizationId
    subject: str
    version: int
    time_ms: int
    status: Status | None
    record: bytes | None


class MonthEntry(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """The last change of a user in one calendar month (months since January 1970)."""

    month: int
    time_ms: int
    version: int
    status: int


class StoredRecord(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """The present of a thing, and a user's history in ascending months.

    Attributes:
        record: None when it is deleted.
    """

    version: int
    time_ms: int
    record: bytes | None
    history: tuple[MonthEntry, ...] = ()


_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(StoredRecord)


def encode_record(fields: Mapping[str, Any]) -> bytes:
    """Return the fields of a record as bytes.

    Raises:
        OverflowError: a number is beyond 64 bits.
    """
    return _encoder.encode(fields)


def decode_record(record: bytes) -> dict[str, Any]:
    fields: dict[str, Any] = msgspec.msgpack.decode(record)
    return fields


def encode_stored(stored: StoredRecord) -> bytes:
    return _encoder.encode(stored)


def decode_stored(value: bytes) -> StoredRecord:
    """Return a stored value.

    Raises:
        msgspec.MsgspecError: it is none.
    """
    return _decoder.decode(value)


def merged(held: StoredRecord | None, change: DirectoryChange) -> StoredRecord | None:
    """Return what a change makes of what is held, None when it changes nothing."""
    history = _history(() if held is None else held.history, change)
    if held is None or change.version > held.version:
        return StoredRecord(change.version, change.time_ms, change.record, history)
    if history == held.history:
        return None
    return StoredRecord(held.version, held.time_ms, held.record, history)


def month_of(time_ms: int) -> int:
    """Return the calendar month of an instant, months since January 1970 in UTC."""
    return month_of_day(time_ms // DAY_MS)


def _history(held: Sequence[MonthEntry], change: DirectoryChange) -> tuple[MonthEntry, ...]:
    """Return the history with the change in it, if it is the last of its month: by time, then by version."""
    if change.thing is not Thing.USER:
        return ()
    entry = MonthEntry(month_of(change.time_ms), change.time_ms, change.version, STATUS_CODES[change.status])
    by_month = {each.month: each for each in held}
    other = by_month.get(entry.month)
    if other is None or (entry.time_ms, entry.version) > (other.time_ms, other.version):
        by_month[entry.month] = entry
    return tuple(by_month[month] for month in sorted(by_month)[-MONTHS_MAX:])
