"""Remembers the tokens that were accepted, so that one that comes with every request is not checked every time.

A token is remembered by its digest, with the keys that it was checked with, and no longer than it is valid. Tokens
that were refused are not remembered: there is no end to them.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from services.clock import now_ms
from services.token_keys import VerificationKey
from services.tokens import LEEWAY_S, GoodToken

TOKENS_REMEMBERED: Final = 4_096
"""Some 400 bytes each; the one that was accepted first goes when there is no room."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptedToken:
    """A token that is accepted until an instant, and the keys that it was checked with."""

    good: GoodToken
    keys: Sequence[VerificationKey]
    until_ms: int


class AcceptedTokens:
    """The tokens that one process accepted; `now_ms` is the wall clock."""

    def __init__(self, now_ms: Callable[[], int] = now_ms) -> None:
        self._now_ms = now_ms
        self._held: OrderedDict[bytes, AcceptedToken] = OrderedDict()

    def get(self, token: str) -> AcceptedToken | None:
        """Return what is remembered of exactly this token, None when that is nothing or it has ended."""
        held = self._held.get(_digest(token))
        return held if held is not None and self._now_ms() < held.until_ms else None

    def put(self, token: str, good: GoodToken, keys: Sequence[VerificationKey]) -> None:
        digest = _digest(token)
        self._held.pop(digest, None)
        if len(self._held) >= TOKENS_REMEMBERED:
            self._held.popitem(last=False)
        until_ms = (good.expires_s + LEEWAY_S) * 1000
        self._held[digest] = AcceptedToken(good=good, keys=keys, until_ms=until_ms)


def _digest(token: str) -> bytes:
    return sha256(token.encode()).digest()
