"""Counts requests against rates, by the library `limits`, in Redis for all API processes together."""

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from math import ceil
from typing import Final

from limits import RateLimitItem, RateLimitItemPerSecond
from limits.aio.storage import MemoryStorage, RedisStorage, Storage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from redis.asyncio import Redis

from services.clock import now_ms
from services.keyspace import RATES_PREFIX
from services.rate_limits import Counted, Rate
from services.redis_client import translated

RateStorage = Storage

_DIGEST_BYTES: Final = 16


def redis_rate_storage(client: Redis) -> RateStorage:
    """Return the library's storage on a client's connections, with its time-outs; nothing is sent."""
    storage = RedisStorage(
        "redis://",
        implementation="redispy",
        key_prefix=RATES_PREFIX,
        # The library takes this option out first; its types know only what goes on to the client.
        connection_pool=client.connection_pool,  # type: ignore[arg-type]
    )
    # A cluster's client is more than its connections. Both keys of a window carry one hash tag, the library's own.
    storage.bridge.connection_getter = lambda _readonly: client  # type: ignore[attr-defined]
    storage.bridge.register_scripts()
    return storage


class RateCounts:
    """Whether a request may go on, by a window that slides: the previous one counts in the share that is still in it.

    A refused request counts for nobody, one that its token's rate refuses not for the organization either. Keys hold
    digests: neither a token nor an organization's id can be read from them.
    """

    def __init__(self, storage: RateStorage | None, rates: Sequence[Rate]) -> None:
        """Build it.

        Args:
            storage: in this process's memory if None.
            rates: asked in this order; a request counts at each until one refuses.
        """
        self._limiter = SlidingWindowCounterRateLimiter(storage or MemoryStorage())
        self._rates = [(rate.counted, _item(rate)) for rate in rates]

    async def wait_s(self, counted: Mapping[Counted, str]) -> int:
        """Count a request of a token and an organization; return 0, or the whole seconds to wait when it is refused.

        Raises:
            StoreUnavailable, StoreRefused: it could not be counted.
        """
        for name, item in self._rates:
            digest = blake2b(counted[name].encode(), digest_size=_DIGEST_BYTES).hexdigest()
            with translated():
                if not await self._limiter.hit(item, digest):
                    free_s, _ = await self._limiter.get_window_stats(item, digest)
                    return max(1, ceil(free_s - now_ms() / 1000))
        return 0


def _item(rate: Rate) -> RateLimitItem:
    return RateLimitItemPerSecond(rate.requests, rate.period_s, namespace=rate.counted)
