"""What the store keeps of a unit of the directory as a whole, as "number,records,offset,broker ms,buckets". Pure."""

from collections.abc import Iterator
from typing import Final, NamedTuple

from services.keyspace import directory_bucket


class StoredRevision(NamedTuple):
    """One state of a unit.

    Attributes:
        number: how many events have changed it.
        records: how many it holds, deleted ones too.
        offset, broker_ms: of the record of the last of these events: a store that was begun anew counts from 1 again.
        buckets: bit b is set when bucket b holds any of them: most units are small, and empty buckets need no look.
    """

    number: int
    records: int
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


NEVER_CHANGED: Final = StoredRevision(0, 0, 0, 0, 0)


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
    number, records, offset, broker_ms, buckets = value.split(b",")
    return StoredRevision(int(number), int(records), int(offset), int(broker_ms), int(buckets, 16))


def moved(held: StoredRevision, field: str, *, is_new: bool, offset: int, broker_ms: int) -> StoredRevision:
    """Return the revision after an event has changed a record, or brought it; `offset` and `broker_ms` are its own."""
    return StoredRevision(
        number=held.number + 1,
        records=held.records + is_new,
        offset=offset,
        broker_ms=broker_ms,
        buckets=held.buckets | 1 << directory_bucket(field),
    )
