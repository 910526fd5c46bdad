"""Opens the stores that the settings name, for a command, and reads what concerns all partitions."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from services.api_keys import ApiKeyStore
from services.counters import CounterStore, PartitionState
from services.identifiers import PartitionId
from services.redis_api_keys import RedisApiKeyStore
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


@asynccontextmanager
async def open_api_keys(settings: Settings) -> AsyncIterator[ApiKeyStore]:
    """Open the store of API keys for a command; nothing is sent before the first call."""
    client = connect(settings.redis, name="tidemark-cli")
    try:
        yield RedisApiKeyStore(client)
    finally:
        await client.aclose()


async def read_states(store: CounterStore, partitions: int) -> Sequence[PartitionState | None]:
    """Return the state of every partition, None where there is none yet.

    Raises:
        StoreUnavailable, StoreRefused: as the store does.
    """
    return await asyncio.gather(*[store.state(PartitionId(number)) for number in range(partitions)])
