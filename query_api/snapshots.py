"""Snapshots of directory units, remembered by unit and revision; the longest unused go when there is no room."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Generic, Protocol, TypeVar

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
        last: what tells the last of the events; in a store that was begun anew as many may have been others.
    """

    epoch: Epoch
    number: int
    records: int
    last: bytes = b""


Loaded = tuple[Revision, Fields]


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
        self._loading: dict[str, asyncio.Task[tuple[Revision, Snapshot]]] = {}

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

    async def load(
        self, unit: str, wanted: Revision, fetch: Callable[[Revision], Coroutine[Any, Any, Loaded]]
    ) -> Snapshot:
        """Return the snapshot of a unit at a revision or a later one.

        Callers at the same time share one fetch, which goes on when they are gone: what takes longer than a request
        may take is there for the next one.

        Args:
            fetch: (revision that is thought to stand) -> revision and fields.
        """
        if (loading := self._loading.get(unit)) is not None:
            seen, made = await asyncio.shield(loading)
            # It began before this call, and may have read an older revision than the wanted one.
            if seen.epoch == wanted.epoch and seen.number >= wanted.number:
                return made
        loading = self._loading.get(unit)
        if loading is None:
            loading = asyncio.create_task(self._load(unit, fetch(wanted)))
            self._loading[unit] = loading
            loading.add_done_callback(partial(self._loaded, unit))
        _, made = await asyncio.shield(loading)
        return made

    async def _load(self, unit: str, fetch: Coroutine[Any, Any, Loaded]) -> tuple[Revision, Snapshot]:
        revision, fields = await fetch
        return revision, self.put(unit, revision, fields)

    def _loaded(self, unit: str, task: "asyncio.Task[tuple[Revision, Snapshot]]") -> None:
        del self._loading[unit]
        if not task.cancelled():
            task.exception()  # whoever waited has it; nobody may have
