"""What is checked of the Redis server before anything is counted on it."""

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from services.counters import StoreRefused
from services.redis_client import translated

_REQUIRED = "noeviction"


async def check_server(client: Redis) -> None:
    """Refuse a server that would evict counters.

    Raises:
        StoreRefused: its eviction policy is another than `noeviction`.
        StoreUnavailable: it is away.
    """
    policy = await eviction_policy(client)
    if policy not in (None, _REQUIRED):
        raise StoreRefused(
            f"Redis has maxmemory-policy {policy}: it would throw counters away and the numbers would be wrong;"
            f" set it to {_REQUIRED}"
        )


async def eviction_policy(client: Redis) -> str | None:
    """Return the eviction policy, from CONFIG or, where that is not allowed, INFO; None when neither says."""
    with translated():
        try:
            answer = await client.config_get("maxmemory-policy")
            policy: object = {_text(name): _text(value) for name, value in answer.items()}.get("maxmemory-policy")
        except ResponseError as error:
            if not str(error).startswith(("unknown command", "NOPERM", "no permissions")):
                raise
            policy = (await client.info("memory")).get("maxmemory_policy")
    return None if policy is None else _text(policy)


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
