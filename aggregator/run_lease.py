"""One run of verify or rebuild at a time: it has a lease, which it renews, and ends when another one has begun.

A courtesy: that two runs do no harm to each other lies in their epochs (ADR 0023).
"""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

from services.clock import monotonic_s
from services.counters import StoreRefused, StoreUnavailable
from services.lifecycle import Refused
from services.redis_shadows import RUN_LEASE_S, RedisShadows

_BEAT_S: Final = RUN_LEASE_S / 4


@asynccontextmanager
async def run_lease(shadows: RedisShadows) -> AsyncIterator[None]:
    """Hold the lease while the block lasts, once no other run does.

    Raises:
        Refused: another one goes on, or took over.
    """
    name = secrets.token_hex(8)
    await _take(shadows, name)
    try:
        async with _beating(shadows, name):
            yield
    finally:
        with suppress(StoreUnavailable, StoreRefused):
            await shadows.end_run(name)


async def _take(shadows: RedisShadows, name: str) -> None:
    gives_up_s = monotonic_s() + 1.5 * RUN_LEASE_S
    while not await shadows.take_run(name):
        if monotonic_s() > gives_up_s:
            raise Refused("another `tidemark verify` or `rebuild` is under way: wait until it has ended")
        await asyncio.sleep(0.2)


@asynccontextmanager
async def _beating(shadows: RedisShadows, name: str) -> AsyncIterator[None]:
    """Keep the run while the block lasts; end the block by `Refused` when another run has begun."""
    task = asyncio.current_task()
    assert task is not None
    lost = False

    async def beat() -> None:
        nonlocal lost
        while True:
            await asyncio.sleep(_BEAT_S)
            with suppress(StoreUnavailable):
                if not await shadows.keep_run(name):
                    lost = True
                    task.cancel()
                    return

    beating = asyncio.create_task(beat())
    try:
        yield
    except asyncio.CancelledError:
        if not lost:
            raise
        raise Refused("another `tidemark verify` or `rebuild` began, after Redis was away: run it again") from None
    finally:
        beating.cancel()
        await asyncio.gather(beating, return_exceptions=True)
