"""Lists the keys of partitions by going over all keys of Redis, for as many partitions at once as ask.

Redis finds keys only by looking at every one of them: so a list is not made for each partition alone.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from services.identifiers import Epoch, PartitionId
from services.keyspace import PREFIX, epoch_of

Page = tuple[int, list[bytes]]
"""Where to go on, 0 at the end, and some keys."""

_BEGIN: Final = len(f"{PREFIX}{{")
_CLOSE: Final = b"}"


class KeyScans:
    """Coalesces lists: what is asked for while a scan is under way is found by the next one.

    Args:
        tags: hash tag of each partition.
        page: gives a page from a cursor, the first from 0.
    """

    def __init__(self, tags: tuple[str, ...], page: Callable[[int], Awaitable[Page]]) -> None:
        self._tags = tags
        self._of_tag = {tag.encode(): PartitionId(number) for number, tag in enumerate(tags)}
        self._page = page
        self._lock = asyncio.Lock()
        self._asked: set[PartitionId] = set()
        self._found: dict[PartitionId, set[bytes]] = {}

    async def keys(self, partition: PartitionId) -> dict[Epoch, list[str]]:
        """Return the keys of each epoch of a partition that are there from the call to its end; others may be missing.

        No partition may be asked for twice at once.
        """
        self._asked.add(partition)
        try:
            async with self._lock:
                if partition not in self._found:
                    # Who scanned for this one may have been cancelled.
                    wanted, self._asked = self._asked | {partition}, set()
                    self._found |= await self._scan(wanted)
                found = self._found[partition]
        finally:
            self._asked.discard(partition)
            self._found.pop(partition, None)
        keys: dict[Epoch, list[str]] = {}
        for key in map(bytes.decode, found):
            if (epoch := epoch_of(key, self._tags[partition])) is not None:
                keys.setdefault(epoch, []).append(key)
        return keys

    async def _scan(self, wanted: set[PartitionId]) -> dict[PartitionId, set[bytes]]:
        # Sets: a scan may give a key twice.
        found: dict[PartitionId, set[bytes]] = {partition: set() for partition in wanted}
        of_tag = {tag: found[partition] for tag, partition in self._of_tag.items() if partition in found}
        cursor, first = 0, True
        while cursor or first:
            cursor, names = await self._page(cursor)
            first = False
            for name in names:
                held = of_tag.get(name[_BEGIN : name.find(_CLOSE, _BEGIN)])
                if held is not None:
                    held.add(name)
        return found
