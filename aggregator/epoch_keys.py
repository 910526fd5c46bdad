"""The keys of epochs: which there are, and taking away those that nobody needs, in slices."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any

from aggregator.shadow_store import taken_over
from aggregator.sweeping import KeptEpochs
from services.identifiers import Epoch, PartitionId
from services.keyspace import epoch_of
from services.redis_shadows import UNLINKED_AT_ONCE, RedisShadows

Call = Callable[[Callable[[], Awaitable[Any]]], Awaitable[Any]]
"""Makes a call to Redis, at a pace, and again while Redis is away."""


class EpochKeys:
    """Keys of all partitions.

    Args:
        tags: hash tag of each partition.
    """

    def __init__(self, shadows: RedisShadows, tags: tuple[str, ...], call: Call) -> None:
        self._shadows = shadows
        self._tags = tags
        self._call = call
        self.swept = 0
        """Keys that were swept up; one that a scan gave twice counts twice."""
        self._kept = KeptEpochs(tags)
        self._sweeping = asyncio.Lock()

    async def of(self, partition: PartitionId) -> Mapping[Epoch, Sequence[str]]:
        """Return the keys of each epoch of a partition."""
        found: dict[Epoch, set[str]] = {}
        async for names in self._pages(partition):
            for key in map(bytes.decode, names):
                if (epoch := epoch_of(key, self._tags[partition])) is not None:
                    found.setdefault(epoch, set()).add(key)
        return {epoch: list(keys) for epoch, keys in found.items()}

    async def sweep(self) -> None:
        """Take away the keys of epochs that are neither live nor being made."""
        async with self._sweeping:
            async for names in self._pages(None):
                for (partition, epoch), keys in self._kept.rubbish(names).items():
                    await self.unlink(partition, epoch, keys)
                    self.swept += len(keys)

    async def begin(self, live: Mapping[PartitionId, Epoch]) -> None:
        """Take away what earlier runs left, because they were killed; `live` are the epochs that stay."""
        for partition, epoch in live.items():
            self.stay(partition, epoch)
            await self._call(lambda at=partition: self._shadows.drop_state(at))  # type: ignore[misc]
        await self.sweep()

    def stay(self, partition: PartitionId, *epochs: Epoch) -> None:
        """Say which epochs of a partition are to stay; before the first key of one of them is written."""
        self._kept.set(partition, *epochs)

    async def _pages(self, partition: PartitionId | None) -> AsyncIterator[list[bytes]]:
        cursor, names = await self._call(lambda: self._shadows.page_of_keys(0, partition))
        yield names
        while cursor:
            at = cursor
            cursor, names = await self._call(lambda at=at: self._shadows.page_of_keys(at, partition))  # type: ignore[misc]
            yield names

    async def unlink(self, partition: PartitionId, epoch: Epoch, gone: Sequence[str]) -> None:
        for start in range(0, len(gone), UNLINKED_AT_ONCE):
            batch = gone[start : start + UNLINKED_AT_ONCE]
            if not await self._call(lambda batch=batch: self._shadows.unlink(partition, epoch, batch)):  # type: ignore[misc]
                raise taken_over(partition)
