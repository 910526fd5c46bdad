"""Snapshots of directory units, remembered by unit and revision; the longest unused go when there is no room."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Generic, Protocol, TypeVar

from services.counters import StoreRefused
from services.directory_revision import StoredRevision
from services.identifiers import Epoch

RECORDS_REMEMBERED: Final = 500_000
"""Records in all snapshots of a kind, a kilobyte each when all of them is asked for; a long one counts for several."""

RECORD_BYTES: Final = 512
"""Stored, of a record that counts for one."""

INLINE_RECORDS_MAX: Final = 2_000
"""Up to so many a snapshot is made between two requests, in some 20 ms; else in a thread, while others are answered."""


class Sized(Protocol):
    def __len__(self) -> int: ...


Snapshot = TypeVar("Snapshot", bound=Sized)
Unit = TypeVar("Unit", bound=str)
Field = tuple[bytes, bytes]
Fields = Sequence[Field]


@dataclass(frozen=True, slots=True)
class Revision:
    """What names one state of a unit: the epoch, and what the store keeps of it there."""

    epoch: Epoch
    stored: StoredRevision

    def reaches(self, wanted: "Revision") -> bool:
        """Return whether this is a revision or a later one of the same epoch."""
        return self == wanted or (self.epoch == wanted.epoch and self.stored.number > wanted.stored.number)


Loaded = tuple[str, Revision, Fields]
"""A unit, the revision it was read at, and all its fields."""

Fetch = Callable[[Mapping[Any, Revision]], AsyncIterator[Sequence[Loaded]]]
"""(units and the revisions that are thought to stand) -> all of them, some at a time."""


Loading = dict[str, asyncio.Future[tuple[Revision, Snapshot]]]


class Snapshots(Generic[Snapshot]):
    """Makes snapshots out of units' fields and remembers them.

    Args:
        make: unit, fields, the snapshot held before -> snapshot; a `StoreRefused` that it raises is this unit's alone.
    """

    def __init__(
        self, make: Callable[[str, Fields, Snapshot | None], Snapshot], records_max: int = RECORDS_REMEMBERED
    ) -> None:
        self._make = make
        self._records_max = records_max
        self._records = 0
        self._held: OrderedDict[str, tuple[Revision, Snapshot]] = OrderedDict()
        self._loading: Loading[Snapshot] = {}
        self._loads: set[asyncio.Task[None]] = set()

    def get(self, unit: str, revision: Revision) -> Snapshot | None:
        """Return the snapshot of exactly that revision: a store that was restored has gone back to an older one."""
        held = self._held.get(unit)
        if held is None or held[0] != revision:
            return None
        self._held.move_to_end(unit)
        return held[1]

    def put(self, unit: str, revision: Revision, fields: Fields) -> Snapshot:
        """Make and remember a snapshot; the newest stays, however large it is."""
        return self._remember(unit, revision, self._make(unit, fields, self._newest(unit)))

    def _newest(self, unit: str) -> Snapshot | None:
        held = self._held.get(unit)
        return None if held is None else held[1]

    def _remember(self, unit: str, revision: Revision, made: Snapshot) -> Snapshot:
        if (before := self._held.pop(unit, None)) is not None:
            self._records -= _weight(*before)
        self._held[unit] = (revision, made)
        self._records += _weight(revision, made)
        while self._records > self._records_max and len(self._held) > 1:
            _, dropped = self._held.popitem(last=False)
            self._records -= _weight(*dropped)
        return made

    async def load(self, wanted: Mapping[Unit, Revision], fetch: Fetch) -> Mapping[Unit, Snapshot]:
        """Return the snapshots of units at their revisions or at later ones.

        Callers at the same time share the fetch of a unit, which goes on when they are gone: what takes longer than a
        request may take is there for the next one.
        """
        joined = [unit for unit in wanted if unit in self._loading]
        found = await self._loaded(wanted, fetch)
        # What had begun before this call may have read an older revision than the wanted one.
        again = {unit: wanted[unit] for unit in joined if not found[unit][0].reaches(wanted[unit])}
        found |= await self._loaded(again, fetch)
        return {unit: found[unit][1] for unit in wanted}

    async def _loaded(self, wanted: Mapping[Unit, Revision], fetch: Fetch) -> dict[Unit, tuple[Revision, Snapshot]]:
        """Return what becomes of units that are being loaded, or begin to be."""
        if missing := {unit: revision for unit, revision in wanted.items() if unit not in self._loading}:
            self._begin(missing, fetch)
        if loading := {unit: self._loading[unit] for unit in wanted}:
            await asyncio.wait(loading.values())  # a caller that is cancelled here leaves them alone
        return {unit: future.result() for unit, future in loading.items()}

    def _begin(self, wanted: Mapping[Unit, Revision], fetch: Fetch) -> None:
        loop = asyncio.get_running_loop()
        loading: Loading[Snapshot] = {unit: loop.create_future() for unit in wanted}
        self._loading |= loading
        load = loop.create_task(self._load(loading, fetch(wanted)))
        self._loads.add(load)  # the loop itself holds tasks weakly
        load.add_done_callback(partial(self._ended, loading))

    async def _load(self, loading: Loading[Snapshot], batches: AsyncIterator[Sequence[Loaded]]) -> None:
        async for batch in batches:
            for unit, revision, fields in batch:
                try:
                    loading[unit].set_result((revision, await self._put(unit, revision, fields)))
                except StoreRefused as error:
                    loading[unit].set_exception(error)
                del self._loading[unit]

    async def _put(self, unit: str, revision: Revision, fields: Fields) -> Snapshot:
        if len(fields) <= INLINE_RECORDS_MAX:
            return self.put(unit, revision, fields)
        made = await asyncio.to_thread(self._make, unit, fields, self._newest(unit))
        return self._remember(unit, revision, made)

    def _ended(self, loading: Loading[Snapshot], load: asyncio.Task[None]) -> None:
        """Say to those who wait for what was not loaded why it was not."""
        self._loads.discard(load)
        for unit, future in loading.items():
            if not future.done():
                del self._loading[unit]
                if load.cancelled():
                    future.cancel()
                else:
                    future.set_exception(load.exception() or LookupError(f"{unit} was not fetched"))
            if not future.cancelled():
                future.exception()  # whoever waits has it; nobody may wait


def _weight(revision: Revision, snapshot: Sized) -> int:
    return 1 + max(len(snapshot), revision.stored.size // RECORD_BYTES)
