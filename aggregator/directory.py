"""Directory events of a run, folded: what to read, and what the records become. Pure.

Event after event in log order; the highest version holds the present (`services.directory_records`), so that repeats
and latecomers change nothing twice. Records are not remembered between calls: they are few, and read each time.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from aggregator.dedup import Mask
from aggregator.run import LoggedChange
from services.directory_records import DirectoryChange, decode_stored, encode_stored, merged
from services.directory_revision import decode_revision, encode_revision, moved
from services.keyspace import directory_bucket, directory_field, directory_key, revisions_key, unit_of

Place = tuple[str, str]
"""Unit and field of a record."""

ITEM_BYTES: Final = 256
"""Of a record that weigh like one id or cell: a script call that is full of records has some megabytes at most."""


@dataclass(frozen=True, slots=True)
class DirectoryFolded:
    """Hash groups to write, and which changes of the run changed nothing."""

    hashes: list[list[str | bytes]]
    copied: Mask


class DirectoryFold:
    """The directory changes of one run.

    Args:
        prefix: `services.keyspace.epoch_prefix` of the partition.
    """

    def __init__(self, changes: Sequence[LoggedChange], prefix: str) -> None:
        self._changes = changes
        self._prefix = prefix
        self._places = [_place(each.change) for each in changes]
        self._read = sorted(set(self._places))
        self._units = sorted({unit for unit, _ in self._places})

    @property
    def items(self) -> int:
        """How much of a script call the changes take, in ids and cells: a long record counts for many."""
        return sum(1 + len(each.change.record or b"") // ITEM_BYTES for each in self._changes)

    def groups(self) -> Iterator[list[str | bytes]]:
        """Yield the groups that read the units' revisions, then each record that the run names."""
        if self._changes:
            yield [revisions_key(self._prefix), *self._units]
        for place in self._read:
            yield [self._key(place), place[1]]

    def finish(self, answers: Iterator[bytes | None]) -> DirectoryFolded:
        """Return what the answers to `groups` and the changes make of the records."""
        if not self._changes:
            return DirectoryFolded([], np.zeros(0, dtype=np.bool_))
        revisions = {unit: decode_revision(next(answers)) for unit in self._units}
        held: dict[Place, bytes | None] = {place: next(answers) for place in self._read}
        changed: dict[Place, bytes] = {}
        copied = np.zeros(len(self._changes), dtype=np.bool_)
        for at, (place, logged) in enumerate(zip(self._places, self._changes, strict=True)):
            before = held[place]
            made = merged(None if before is None else decode_stored(before), logged.change)
            if made is None:
                copied[at] = True
                continue
            unit, field = place
            after = encode_stored(made)
            revisions[unit] = moved(
                revisions[unit],
                field,
                before=None if before is None else len(before),
                after=len(after),
                offset=logged.offset,
                broker_ms=logged.broker_ms,
            )
            held[place] = changed[place] = after
        hashes: list[list[str | bytes]] = [[self._key(place), place[1], after] for place, after in changed.items()]
        units = sorted({unit for unit, _ in changed})
        if units:
            entries = [part for unit in units for part in (unit, encode_revision(revisions[unit]))]
            hashes.append([revisions_key(self._prefix), *entries])
        return DirectoryFolded(hashes, copied)

    def _key(self, place: Place) -> str:
        unit, field = place
        return directory_key(self._prefix, unit, directory_bucket(field))


def _place(change: DirectoryChange) -> Place:
    return unit_of(change.thing, change.organization), directory_field(change.thing, change.subject)
