"""What the store keeps of a unit of the directory: "number,records,bytes,offset,broker ms,buckets". Pure."""

from collections.abc import Iterator
from typing import Final, NamedTuple

from services.keyspace import directory_bucket


class StoredRevision(NamedTuple):
    """One state of a unit.

    Attributes:
        number: how many events have changed it.
        records: how many it holds, deleted ones too.
        size: their bytes.
        offset, broker_ms: of the record of the last of these events: a store that was begun anew counts from 1 again.
        buckets: bit b is set when bucket b holds any of them: most units are small, and empty buckets need no look.
    """

    number: int
    records: int
    size: int
    offset: int
    broker_ms: int
    buckets: int

    def held_buckets(self) -> Iterator[int]:
        """Yield the buckets that hold any, ascending."""
        rest = self.buckets
        while rest:
            lowest = rest & -rest
            yield lowest.bit_length() - 1
            rest ^= lowest


NEVER_CHANGED: Final = StoredRevision(0, 0, 0, 0, 0, 0)


def encode_revision(revision: StoredRevision) -> str:
    *counts, buckets = revision
    return f"{','.join(map(str, counts))},{buckets:x}"


def decode_revision(value: bytes | None) -> StoredRevision:
    """Return a stored value; None is a unit that holds nothing.

    Raises:
        ValueError: it is none.
    """
    if value is None:
        return NEVER_CHANGED
    *counts, buckets = value.split(b",")
    number, records, size, offset, broker_ms = map(int, counts)
    return StoredRevision(number, records, size, offset, broker_ms, int(buckets, 16))


def moved(
    held: StoredRevision, field: str, *, before: int | None, after: int, offset: int, broker_ms: int
) -> StoredRevision:
    """Return the revision after an event has changed a record, or brought it.

    Args:
        before, after: bytes of the stored record; None when there was none.
        offset, broker_ms: the event's own.
    """
    return StoredRevision(
        number=held.number + 1,
        records=held.records + (before is None),
        size=held.size + after - (before or 0),
        offset=offset,
        broker_ms=broker_ms,
        buckets=held.buckets | 1 << directory_bucket(field),
    )
