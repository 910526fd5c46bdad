"""Which sets of the dedup index had their end moved on lately, so that not every write has to do it.

A set ends so long after its last write. To move that on with each write would cost Redis half as much as the write;
within an hour of the last time it is left as it is, and sets are kept an hour longer for it.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from services.frames import Column

EVERY_S: Final = 3_600
"""How long the end of a set is left as it is."""

SETS_MAX: Final = 2_000_000
"""Sets remembered of all partitions of a worker, 8 bytes each; beyond it the oldest generation goes."""


class Renewals:
    """Key of a generation -> UNIX second at which the end of each of its sets was moved on."""

    def __init__(self, sets_max: int = SETS_MAX) -> None:
        self._max = sets_max
        self._renewed_s: dict[str, Column] = {}

    def due(self, key: str, places: Column, now_s: int) -> npt.NDArray[np.bool_]:
        """Return, for each of these sets of a generation, whether its end is to be moved on with this write."""
        renewed_s = self._renewed_s.get(key)
        if renewed_s is None:
            return np.ones(len(places), dtype=np.bool_)
        age_s = now_s - renewed_s[places]
        return (age_s < 0) | (age_s >= EVERY_S)

    def note(self, key: str, ranges: int, places: Column, now_s: int) -> None:
        """Take in that the ends of some sets of a generation, of so many, were moved on."""
        if not len(places) or ranges > self._max // 4:
            return
        renewed_s = self._renewed_s.get(key)
        if renewed_s is None:
            renewed_s = self._renewed_s[key] = np.full(ranges, -EVERY_S, dtype=np.int64)
            while sum(map(len, self._renewed_s.values())) > self._max:
                del self._renewed_s[next(iter(self._renewed_s))]
        renewed_s[places] = now_s

    def forget(self, prefix: str) -> None:
        """Forget every generation whose key begins so."""
        for key in [key for key in self._renewed_s if key.startswith(prefix)]:
            del self._renewed_s[key]
