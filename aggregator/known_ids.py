"""Identities that a worker knows without asking: those of generations of the dedup index that it saw begin.

A generation is known whole or not at all: whoever began one and has been the only one to write it knows what is in it,
and need not ask the store, until the first of its sets may have ended. On any doubt the partition is forgotten, and its
generations are asked for from then on.
Bounded: when there are too many identities, the largest generation goes.
"""

import math
from typing import Final

import numpy as np
import numpy.typing as npt

from services.frames import Column

IDS_MAX: Final = 4_000_000
"""Identities known of all partitions of a worker, 8 bytes each."""

_MERGE_FROM: Final = 4
"""A piece is merged into the one before it unless that is so many times as large."""


class IdSet:
    """A growing set of 64-bit numbers, as a few sorted arrays, the largest first; good before `until_s`."""

    def __init__(self, until_s: float = math.inf) -> None:
        self.until_s = until_s
        self._pieces: list[Column] = []

    def __len__(self) -> int:
        return sum(map(len, self._pieces))

    def add(self, ids: Column) -> None:
        """Add numbers that are not in the set yet."""
        if not len(ids):
            return
        pieces = self._pieces
        pieces.append(np.sort(ids))
        while len(pieces) > 1 and len(pieces[-2]) < _MERGE_FROM * len(pieces[-1]):
            # A stable sort of integers takes two sorted runs as they are, and merges them.
            pieces[-2:] = [np.sort(np.concatenate(pieces[-2:]), kind="stable")]

    def contains(self, ids: Column) -> npt.NDArray[np.bool_]:
        """Return, for each number, whether it is in the set."""
        order = np.argsort(ids)
        ascending = ids[order]
        found = np.zeros(len(ids), dtype=np.bool_)
        for piece in self._pieces:
            at = np.searchsorted(piece, ascending)
            at[at == len(piece)] = 0
            found |= piece[at] == ascending
        contained = np.zeros(len(ids), dtype=np.bool_)
        contained[order] = found
        return contained


class KnownIds:
    """Key of a generation (`services.keyspace.ids_key` and its number) -> all of its identities."""

    def __init__(self, ids_max: int = IDS_MAX) -> None:
        self._max = ids_max
        self._sets: dict[str, IdSet] = {}

    def get(self, key: str, elapsed_s: float) -> IdSet | None:
        """Return a generation's identities at a time (`Place.elapsed_s`), None when they are not all known."""
        known = self._sets.get(key)
        if known is not None and elapsed_s >= known.until_s:
            del self._sets[key]
            return None
        return known

    def begin(self, key: str, until_s: float) -> None:
        """Know a generation that is about to get its first identities.

        Args:
            until_s: time (`Place.elapsed_s`) before which none of its sets ends.
        """
        self._sets[key] = IdSet(until_s)

    def add(self, key: str, ids: Column) -> None:
        """Take in what was written to a generation; nothing happens when it is not known."""
        known = self._sets.get(key)
        if known is None:
            return
        known.add(ids)
        while sum(map(len, self._sets.values())) > self._max:
            del self._sets[max(self._sets, key=lambda each: len(self._sets[each]))]

    def forget(self, prefix: str) -> None:
        """Forget every generation whose key begins so."""
        for key in [key for key in self._sets if key.startswith(prefix)]:
            del self._sets[key]
