"""Cells of one level with their place in the store: which hashes to read, and what to write once it is summed. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from aggregator.actives import united
from aggregator.cells import Cells, Layout, expiry_s, lay_out
from aggregator.known import Known
from services.counter_codec import Matrix, pack, unpack
from services.frames import Column
from services.keyspace import Kind
from services.metrics_contract import COUNTER_MAX, PRODUCTS
from services.windows import Window

Hash = dict[bytes, bytes]
"""Fields of one hash that a worker knows whole."""

Mask = npt.NDArray[np.bool_]

_COUNTER_KINDS: Final = {Window.HOUR: Kind.HOURS, Window.DAY: Kind.DAYS}
_ACTIVE_KINDS: Final = {Window.HOUR: Kind.ACTIVE_HOURS, Window.DAY: Kind.ACTIVE_DAYS}
_COUNTERS: Final = np.array([len(product.counters) for product in PRODUCTS])
"""How many each product has."""

_SOON_S: Final = 3_600
"""More than a call takes and clocks differ."""


@dataclass(frozen=True, slots=True)
class Active:
    """Active members of a level's cells: `rows` of the level, and each one's `ordinals`."""

    rows: Column
    ordinals: Column


@dataclass(frozen=True, slots=True)
class LevelSums:
    """What comes to the cells of one level: live `events` (rows,) and `counters` (rows, 9); `active` of a parent's."""

    events: Column
    counters: Matrix
    active: Active | None = None


@dataclass(slots=True)
class Writes:
    """Hash groups gathered for an apply request.

    Attributes:
        now_s: UNIX seconds.
        hashes, expiry, changed: of each group: what to write, when the hash ends (0: as it is), what is known of it.
        saturated: counters that reached their limit.
    """

    now_s: int
    hashes: list[list[str | bytes]]
    expiry: list[int]
    changed: list[Hash]
    saturated: int = 0

    def add(self, groups: Sequence[list[str | bytes]], held: Sequence[Hash], ends: Sequence[int]) -> None:
        """Add the groups that write anything."""
        if min(map(len, groups), default=0) == 1:
            writing = [at for at, group in enumerate(groups) if len(group) > 1]
            groups, held, ends = (
                [groups[at] for at in writing],
                [held[at] for at in writing],
                [ends[at] for at in writing],
            )
        self.hashes += groups
        self.changed += held
        # One about to end may be gone when this is written, and would come back without an end.
        soon_s = self.now_s + _SOON_S
        self.expiry += [0 if known and end > soon_s else end for known, end in zip(held, ends, strict=True)]


class StoredCells:
    """Cells of one level, their hashes, and what is known of these.

    Args:
        parts: what the cells' scopes point to (`services.keyspace.scope_part`).
        keep_s: how long windows are kept after their end.
        with_actives: whether bitmaps of active users stand beside the counters.
        known: the worker's knowledge.
        now_s: UNIX seconds; what should have ended by now is read again.
    """

    def __init__(
        self,
        cells: Cells,
        prefix: str,
        parts: Sequence[str],
        keep_s: float | None,
        *,
        with_actives: bool,
        known: Known[bytes, bytes],
        now_s: int,
    ) -> None:
        self.cells = cells
        self._layout: Layout = lay_out(cells)
        self._ends = expiry_s(cells.window, self._layout.periods, keep_s)
        self._keys = self._layout.keys(prefix, _COUNTER_KINDS[cells.window].value, parts)
        self._held = self._look_up(self._keys, known, now_s)
        self._active_keys = self._layout.keys(prefix, _ACTIVE_KINDS[cells.window].value, parts) if with_actives else []
        self._active_held = self._look_up(self._active_keys, known, now_s)

    def unknown(self) -> Iterator[tuple[str, list[Hash | None], int]]:
        """Yield each hash to read: its key, and where it is wanted."""
        for keys, held in ((self._keys, self._held), (self._active_keys, self._active_held)):
            for at, known in enumerate(held):
                if known is None:
                    yield keys[at], held, at

    def write(self, sums: LevelSums, writes: Writes) -> None:
        """Add what the sums make of the cells; every hash is known by now."""
        if not len(self.cells):
            return
        self._write_counters(sums, writes)
        if sums.active is not None:
            self._write_actives(sums.active, writes)

    def _look_up(self, keys: Sequence[str], known: Known[bytes, bytes], now_s: int) -> list[Hash | None]:
        held = known.get_all(keys)
        for at, end in enumerate(self._ends[: len(keys)]):
            if 0 < end <= now_s:
                held[at] = None
        return held

    def _write_counters(self, sums: LevelSums, writes: Writes) -> None:
        held = all_known(self._held)
        total = unpack(self._layout.values(held)) + sums.counters
        if total.max() > COUNTER_MAX:
            writes.saturated += int(np.count_nonzero(total > COUNTER_MAX))
            total = np.minimum(total, COUNTER_MAX)
        values = pack(total, _COUNTERS[self.cells.products])
        writes.add(self._groups(self._keys, values, sums.events > 0), held, self._ends)

    def _write_actives(self, active: Active, writes: Writes) -> None:
        hashes = all_known(self._active_held)
        held = self._layout.values(hashes)
        values = united(held, active.rows, active.ordinals)
        changed = np.array([value != (before or b"") for value, before in zip(values, held, strict=True)])
        writes.add(self._groups(self._active_keys, values, changed), hashes, self._ends)

    def _groups(self, keys: Sequence[str], values: Sequence[bytes], keep: Mask) -> list[list[str | bytes]]:
        """Return one (key, field, value, …) group a hash, without the cells that are not to be kept."""
        groups, bounds = self._layout.write_groups(keys, values), self._layout.bounds
        if keep.all():
            return groups
        whole = np.logical_and.reduceat(keep, bounds[:-1])
        for at in np.flatnonzero(~whole).tolist():
            kept = np.flatnonzero(keep[bounds[at] : bounds[at + 1]]).tolist()
            groups[at] = [groups[at][0], *(part for row in kept for part in groups[at][2 * row + 1 : 2 * row + 3])]
        return groups


def all_known(held: Sequence[Mapping[bytes, bytes] | None]) -> list[Hash]:
    """Return the hashes once none of them is unknown."""
    return [known for known in held if isinstance(known, dict)]
