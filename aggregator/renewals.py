"""Which sets of the dedup index had their end moved on lately, so that not every write has to do it.

A set ends so long after its last write. To move that on with each write would cost Redis half as much as the write;
for half a minute, and at most a hundredth of that time, it is left as it is, and sets are kept so much longer for it.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from services.frames import Column

_PAUSE_S: Final = 30
_SHARE: Final = 100

SETS_MAX: Final = 2_000_000
"""Sets remembered of all partitions of a worker, 8 bytes each; beyond it the oldest generation goes."""


def pause_s(kept_s: float | None) -> int:
    """Return how long the end of a set that is kept so long, None for ever, is left as it is, in seconds."""
    return _PAUSE_S if kept_s is None else min(_PAUSE_S, int(kept_s) // _SHARE)


class Renewals:
    """Key of a generation -> until when the end of each of its sets is left as it is, by `Place.elapsed_s`."""

    def __init__(self, sets_max: int = SETS_MAX) -> None:
        self._max = sets_max
        self._until_s: dict[str, npt.NDArray[np.float64]] = {}

    def due(self, key: str, places: Column, elapsed_s: float) -> npt.NDArray[np.bool_]:
        """Return, for each of these sets of a generation, whether its end is to be moved on with this write."""
        until_s = self._until_s.get(key)
        if until_s is None:
            return np.ones(len(places), dtype=np.bool_)
        return until_s[places] <= elapsed_s

    def note(self, key: str, ranges: int, places: Column, until_s: float) -> None:
        """Take in that the ends of some sets of a generation, of so many, were moved on."""
        if not len(places) or ranges > self._max // 4:
            return
        noted_s = self._until_s.get(key)
        if noted_s is None:
            noted_s = self._until_s[key] = np.full(ranges, -np.inf)
            while sum(map(len, self._until_s.values())) > self._max:
                del self._until_s[next(iter(self._until_s))]
        noted_s[places] = until_s

    def forget(self, prefix: str) -> None:
        """Forget every generation whose key begins so."""
        for key in [key for key in self._until_s if key.startswith(prefix)]:
            del self._until_s[key]
