"""Snapshots of directory units, remembered by unit and revision; the longest unused go when there is no room."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final, Generic, Protocol, TypeVar
from weakref import WeakValueDictionary

from services.identifiers import Epoch

RECORDS_REMEMBERED: Final = 500_000
"""Records in all snapshots of a kind, a kilobyte each at most when all of them is asked for."""


class Sized(Protocol):
    def __len__(self) -> int: ...


Snapshot = TypeVar("Snapshot", bound=Sized)
Fields = Iterable[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Revision:
    """What names one state of a unit.

    Attributes:
        number: how many events have changed it.
        records: how many it holds, deleted ones too.
    """

    epoch: Epoch
    number: int
    records: int


class Snapshots(Generic[Snapshot]):
    """Makes snapshots out of a unit's fields and remembers them.

    Args:
        make: fields -> snapshot.
    """

    def __init__(self, make: Callable[[Fields], Snapshot], records_max: int = RECORDS_REMEMBERED) -> None:
        self._make = make
        self._records_max = records_max
        self._records = 0
        self._held: OrderedDict[str, tuple[Revision, Snapshot]] = OrderedDict()
        self._locks: WeakValueDictionary[str, Any] = WeakValueDictionary()

    def get(self, unit: str, revision: Revision) -> Snapshot | None:
        """Return the snapshot of exactly that revision: a store that was restored has gone back to an older one."""
        held = self._held.get(unit)
        if held is None or held[0] != revision:
            return None
        self._held.move_to_end(unit)
        return held[1]

    def put(self, unit: str, revision: Revision, fields: Fields) -> Snapshot:
        """Make and remember a snapshot; the newest stays, however large it is."""
        made = self._make(fields)
        if (before := self._held.pop(unit, None)) is not None:
            self._records -= 1 + len(before[1])
        self._held[unit] = (revision, made)
        self._records += 1 + len(made)
        while self._records > self._records_max and len(self._held) > 1:
            _, (_, dropped) = self._held.popitem(last=False)
            self._records -= 1 + len(dropped)
        return made

    def lock(self, unit: str) -> asyncio.Lock:
        """Return what lets one caller at a time load a unit."""
        lock: asyncio.Lock = self._locks.setdefault(unit, asyncio.Lock())
        return lock
