"""Lists keys, page by page, of one server or of all masters of a cluster."""

from typing import Final, cast

from redis.asyncio import Redis

from services.redis_cluster import ClusterClient

SCAN_COUNT: Final = 5_000


async def scan_page(client: Redis, cursor: int, pattern: str) -> tuple[int, list[bytes]]:
    """Return where to go on, 0 at the end, and some keys that match; the first page is of cursor 0.

    Keys that are there all the while come at least once; errors are the client's.
    """
    if isinstance(client, ClusterClient):
        return await client.scan_page(cursor, pattern, SCAN_COUNT)
    cursor, names = await client.scan(cursor, match=pattern, count=SCAN_COUNT)
    return cursor, cast(list[bytes], names)
