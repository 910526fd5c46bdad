"""Whether the identities that one dedup index holds are in another one, too: what to ask, and which are not. Pure."""

from collections.abc import Sequence

import numpy as np

from aggregator.dedup import sets_of
from services.dedup_index import Generation, generation_key
from services.frames import Column


class Sought:
    """Identities of one period that are looked for in an index, whatever generations it has there.

    Args:
        prefix: `services.keyspace.epoch_prefix` of the index.
        generations: of the period in it.
    """

    def __init__(self, ids: Column, prefix: str, period: int, generations: Sequence[Generation]) -> None:
        self._ids = ids
        self.groups: list[list[str | bytes]] = []
        self._asked: list[Column] = []
        everything = np.arange(len(ids))
        for number, generation in enumerate(generations):
            key = generation_key(prefix, period, number)
            places, members = sets_of(ids, everything, generation.ranges)
            for place, rows in zip(places.tolist(), members, strict=True):
                self.groups.append([f"{key}/{place}", *map(str, ids[rows].tolist())])
                self._asked.append(rows)

    def missing(self, answers: Sequence[int]) -> list[int]:
        """Return the identities that are in no set, given the answers to `groups`."""
        found = np.zeros(len(self._ids), dtype=np.bool_)
        if self._asked:
            found[np.concatenate(self._asked)[np.array(answers, dtype=np.bool_)]] = True
        missing: list[int] = self._ids[~found].tolist()
        return missing
