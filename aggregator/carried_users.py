"""Ordinals of one user index in another epoch, by the users' names. Pure."""

from collections.abc import Mapping

import numpy as np

from services.keyspace import COUNT_FIELD

Fields = Mapping[bytes, bytes]


class OrdinalMap:
    """Live ordinals -> the shadow's, for one organization or team.

    A user that only the live index has, and an ordinal that no user has any more, get ordinals of their own: a bit
    stays a user, even where nobody knows which.
    """

    def __init__(self) -> None:
        self._nameless: dict[int, int] = {}
        self._of_live: dict[int, int] = {}
        self._added: dict[bytes, bytes] = {}
        self._count = 0
        self._count_before = 0

    def take(self, live: Fields, shadow: Fields) -> None:
        """Take both indexes as they are now; what was given before and written stands in the shadow's."""
        self._count = self._count_before = int(shadow.get(COUNT_FIELD, b"0"))
        self._added = {}
        self._of_live = {}
        for name, ordinal in live.items():
            if name == COUNT_FIELD or not ordinal.isdigit():
                continue
            mine = shadow.get(name)
            if mine is None:
                mine = self._added[name] = b"%d" % self._next()
            self._of_live[int(ordinal)] = int(mine)

    def translated(self, bitmap: bytes) -> bytes:
        """Return the same users as bits of the shadow's ordinals, in as few bytes as hold them."""
        bits = np.flatnonzero(np.unpackbits(np.frombuffer(bitmap, dtype=np.uint8), bitorder="little"))
        ordinals = [self._ordinal(bit) for bit in bits.tolist()]
        if not ordinals:
            return bitmap
        found = np.zeros(max(ordinals) + 1, dtype=np.uint8)
        found[ordinals] = 1
        return np.packbits(found, bitorder="little").tobytes()

    def added(self) -> Fields:
        """Return what the shadow's index gets: users, and the count when it rose."""
        if self._count == self._count_before:
            return self._added
        return {**self._added, COUNT_FIELD: b"%d" % self._count}

    def _ordinal(self, live: int) -> int:
        found = self._of_live.get(live, self._nameless.get(live))
        if found is None:
            found = self._nameless[live] = self._next()
        return found

    def _next(self) -> int:
        self._count += 1
        return self._count - 1
