"""Opens the counter store that the settings name, and reads what concerns all partitions."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from services.counters import CounterStore, PartitionState
from services.identifiers import PartitionId
from services.redis_client import connect
from services.redis_counters import RedisCounterStore
from services.settings import Settings


@asynccontextmanager
async def open_store(settings: Settings) -> AsyncIterator[CounterStore]:
    """Open the store for a command; nothing is sent before the first call."""
    client = connect(settings.redis, name="tidemark-cli")
    try:
        yield RedisCounterStore(client, settings.topics.frames_partitions)
    finally:
        await client.aclose()


async def read_states(store: CounterStore, partitions: int) -> Sequence[PartitionState | None]:
    """Return the state of every partition, None where there is none yet.

    Raises:
        StoreUnavailable, StoreRefused: as the store does.
    """
    return await asyncio.gather(*[store.state(PartitionId(number)) for number in range(partitions)])
