"""The keys of epochs: which there are, and taking away those that nobody needs, in slices."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any

from aggregator.shadow import Shadow
from aggregator.shadow_store import taken_over
from aggregator.sweeping import KeptEpochs
from services.identifiers import Epoch, PartitionId
from services.keyspace import epoch_of, epoch_prefix
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
        self.unlinked = 0
        self._kept = KeptEpochs(tags)

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
        async for names in self._pages(None):
            for (partition, epoch), keys in self._kept.rubbish(names).items():
                await self.unlink(partition, epoch, keys)

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

    async def unlink_replaced(self, shadow: Shadow) -> None:
        """Take away what a shadow that was swapped in replaced, as far as that has the names of what it wrote.

        What else the old epoch has is found by the next sweep.
        """
        tag = self._tags[shadow.partition]
        new, old = epoch_prefix(tag, shadow.epoch), epoch_prefix(tag, shadow.live_epoch)
        names = [old + key.removeprefix(new) for key in shadow.store.written]
        await self.unlink(shadow.partition, shadow.live_epoch, names)

    async def unlink(self, partition: PartitionId, epoch: Epoch, gone: Sequence[str]) -> None:
        for start in range(0, len(gone), UNLINKED_AT_ONCE):
            batch = gone[start : start + UNLINKED_AT_ONCE]
            count = await self._call(lambda batch=batch: self._shadows.unlink(partition, epoch, batch))  # type: ignore[misc]
            if count is None:
                raise taken_over(partition)
            self.unlinked += count
