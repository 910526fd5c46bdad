"""How often Redis was found to have lost acknowledged writes.

Counted in Redis, outside the partitions: the worker that finds it ends at once, before anybody has read its metrics.
"""

from contextlib import suppress

from redis.asyncio import Redis

from services.counters import StoreUnavailable
from services.keyspace import ROLLBACKS_KEY
from services.redis_client import translated


async def rollbacks(client: Redis) -> int:
    """Return how many are known.

    Raises:
        StoreUnavailable: the server is away.
    """
    with translated():
        return int(await client.get(ROLLBACKS_KEY) or 0)


async def note_rollback(client: Redis, known: int) -> None:
    """Count one more, unless Redis is away or read-only: ending must not wait for that.

    Args:
        known: how many there were when the worker began. The count itself may have gone back with the rest, and
            another worker may have counted this one already.
    """
    with suppress(StoreUnavailable), translated():
        held = int(await client.get(ROLLBACKS_KEY) or 0)
        await client.set(ROLLBACKS_KEY, max(held, known + 1))
