"""The keys at an address (`api.jwks_url`): kept, read again when old or when a token names an unknown one.

A request waits for the address only for a moment, whatever the host does; what was read stays until the host says
otherwise.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

import structlog

from query_api.jwks_fetch import KeyFetcher, NothingRead
from services.clock import monotonic_s
from services.token_keys import VerificationKey

WAIT_S: Final = 0.3
"""A request's share of a fetch: less than half of its time (`api.request_timeout`), so that it still has an answer."""

UNKNOWN_INTERVAL_S: Final = 30.0
"""Between fetches that unknown key names bring about, and after one that failed: anybody can make names up."""

FIRST_INTERVAL_S: Final = 5.0
"""After a failed fetch while there are no keys at all, and so every token is in doubt."""


class KeysUnavailable(Exception):
    """No key was ever read from the address, so that no token signed by one can be judged now."""


class KeyAddress:
    """The keys of one address, for the tasks of one event loop."""

    def __init__(self, url: str, *, interval_s: float, now_s: Callable[[], float] = monotonic_s) -> None:
        """Nothing is read before the first call.

        Args:
            url: http or https.
            interval_s: after which keys are read again.
            now_s: monotonic.
        """
        self._fetcher = KeyFetcher(url)
        self._interval_s = interval_s
        self._now_s = now_s
        self._keys: tuple[VerificationKey, ...] | None = None
        self._read_s = self._tried_s = self._unknown_s = float("-inf")
        self._fetching: asyncio.Task[None] | None = None

    async def keys(self, kid: str | None) -> Sequence[VerificationKey]:
        """Return the keys, after a fetch where they are old or none is called `kid`; at once, or within `WAIT_S`.

        Raises:
            KeysUnavailable: there are none yet.
        """
        if self._is_old() or self._is_unknown(kid):
            if self._fetching is None and self._may_fetch():
                self._fetching = asyncio.create_task(self._fetch())
            if self._fetching is not None:
                await asyncio.wait((self._fetching,), timeout=WAIT_S)
        if self._keys is None:
            raise KeysUnavailable
        return self._keys

    def _is_old(self) -> bool:
        return self._now_s() - self._read_s >= self._interval_s

    def _is_unknown(self, kid: str | None) -> bool:
        return kid is not None and all(key.kid != kid for key in self._keys or ())

    def _may_fetch(self) -> bool:
        now_s = self._now_s()
        if self._is_old():
            pause_s = FIRST_INTERVAL_S if self._keys is None else UNKNOWN_INTERVAL_S
            return now_s - self._tried_s >= min(pause_s, self._interval_s)
        if now_s - self._unknown_s < UNKNOWN_INTERVAL_S:
            return False
        self._unknown_s = now_s
        return True

    async def _fetch(self) -> None:
        tried_s = self._tried_s = self._now_s()
        try:
            match await self._fetcher.fetch():
                case NothingRead(why=why):
                    structlog.get_logger().warning("jwks_unavailable", why=why)
                case keys:
                    self._keys, self._read_s = keys, tried_s
                    structlog.get_logger().info("jwks_read", keys=len(keys))
        finally:
            self._fetching = None
