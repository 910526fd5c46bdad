"""Retrying a store call in place until it answers: the backpressure while Redis is away."""

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import structlog
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception_type,
    stop_after_delay,
    stop_never,
    wait_random_exponential,
)

from services.counters import StoreUnavailable
from services.health import HealthServer
from services.telemetry import Telemetry

Answer = TypeVar("Answer")

MAX_PAUSE_S: Final = 2.0
_LOG_EVERY: Final = 10
_PART: Final = "redis"


class Retrying:
    """Calls the store again with growing, jittered pauses of at most 2 s, for as long as it is away.

    Of a Redis Cluster a part can be away while the rest answers. Redis is called away as long as any call waits for it:
    the watchdog would else end a worker for a partition whose slot takes long to move.

    Args:
        limit_s: after so long it raises `StoreUnavailable`; None: never.
    """

    def __init__(self, telemetry: Telemetry, health: HealthServer, limit_s: float | None = None) -> None:
        self._telemetry = telemetry
        self._health = health
        self._stop = stop_never if limit_s is None else stop_after_delay(limit_s)
        self._waiting: set[object] = set()
        self._log = structlog.get_logger()

    async def __call__(self, call: Callable[[], Awaitable[Answer]]) -> Answer:
        try:
            answer = await call()
        except StoreUnavailable as error:
            answer = await self._again(call, error)
        if not self._waiting:
            self._health.ready(_PART)
        return answer

    async def _again(self, call: Callable[[], Awaitable[Answer]], error: StoreUnavailable) -> Answer:
        """Go on after a first call that failed; before one does, what counts the attempts would cost as much again."""
        failed: StoreUnavailable | None = error

        async def attempt() -> Answer:
            nonlocal failed
            if failed is not None:
                first, failed = failed, None
                raise first
            return await call()

        mine = object()
        try:
            answer: Answer = await AsyncRetrying(
                retry=retry_if_exception_type(StoreUnavailable),
                wait=wait_random_exponential(multiplier=0.05, max=MAX_PAUSE_S),
                before_sleep=lambda state: self._before_sleep(state, mine),
                stop=self._stop,
                reraise=True,
            )(attempt)
        finally:
            self._waiting.discard(mine)
        return answer

    def _before_sleep(self, state: RetryCallState, call: object) -> None:
        self._waiting.add(call)
        self._telemetry.count("tidemark_store_retries_total")
        error = state.outcome.exception() if state.outcome else None
        self._health.not_ready(_PART, str(error))
        if state.attempt_number % _LOG_EVERY == 1:
            self._log.warning("store_is_away", attempt=state.attempt_number, error=str(error))
