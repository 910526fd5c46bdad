"""What is checked of the Redis server before anything is counted on it."""

from redis.asyncio import Redis
from redis.exceptions import NoPermissionError, ResponseError

from services.counters import StoreRefused, StoreUnavailable
from services.keyspace import PARTITIONS_KEY
from services.redis_client import servers_of, translated

_REQUIRED = "noeviction"


async def check_server(client: Redis) -> None:
    """Refuse a server that would evict counters; of a cluster, any node that has them or may come to have them.

    Raises:
        StoreRefused: its eviction policy is another than `noeviction`.
        StoreUnavailable: it is away; a replica may be.
    """
    with translated():
        masters = await servers_of(client)
        everywhere = await servers_of(client, replicas=True)
    for name, server in everywhere.items():
        try:
            policy = await eviction_policy(server)
        except StoreUnavailable:
            if name in masters:
                raise
            continue
        if policy not in (None, _REQUIRED):
            raise StoreRefused(
                f"{name} has maxmemory-policy {policy}: it would throw counters away and the numbers would be wrong;"
                f" set it to {_REQUIRED}"
            )


async def check_partitions(client: Redis, partitions: int) -> None:
    """Refuse counters that were made with another P; remember this one beside the first.

    Another P has other hash tags: the states of the old one would not even be seen, and all be counted anew.

    Raises:
        StoreRefused: they were.
        StoreUnavailable: the server is away.
    """
    with translated():
        await client.set(PARTITIONS_KEY, partitions, nx=True)
        held = await client.get(PARTITIONS_KEY)
    if held is not None and _text(held) != str(partitions):
        raise StoreRefused(
            f"the counters were made with {_text(held)} partitions of usage.frames, the settings say {partitions}:"
            " P is fixed for a deployment; set topics.frames_partitions back"
        )


async def eviction_policy(client: Redis) -> str | None:
    """Return the eviction policy, from CONFIG or, where that is not allowed, INFO; None when neither says."""
    with translated():
        try:
            answer = await client.config_get("maxmemory-policy")
            policy: object = {_text(name): _text(value) for name, value in answer.items()}.get("maxmemory-policy")
        except ResponseError as error:
            # Renamed away, or forbidden by an ACL.
            if not isinstance(error, NoPermissionError) and not str(error).startswith("unknown command"):
                raise
            policy = (await client.info("memory")).get("maxmemory_policy")
    return None if policy is None else _text(policy)


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
