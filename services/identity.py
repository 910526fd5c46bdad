"""The identity of an event, hashed: 64 bits of keyed BLAKE2b over organization, source and id.

The key is the deployment's `events.identity_secret`: a producer cannot choose ids that collide. Two identities share
a hash with probability about n^2 / 2^65 in one partition and period (design.md, section 3). The fingerprint of the
key travels in every frame and stands in every partition's state; a frame made with another key is refused.
"""

from collections.abc import Callable
from functools import lru_cache
from hashlib import blake2b

HASH_BYTES = 8
PREFIXES_MAX = 10_000
"""Pairs of organization and source whose half-made hash is remembered."""


def identity_hasher(secret: str) -> Callable[[str, str, str], bytes]:
    """Return a function of (organization, source, id) that gives 8 bytes, a little-endian unsigned number."""
    keyed = blake2b(digest_size=HASH_BYTES, key=_key(secret), person=b"identity")

    @lru_cache(maxsize=PREFIXES_MAX)
    def prefixed(organization: str, source: str) -> blake2b:
        state = keyed.copy()
        state.update(f"{len(organization)}:{organization}{len(source)}:{source}".encode())
        return state

    def identity_hash(organization: str, source: str, event_id: str) -> bytes:
        state = prefixed(organization, source).copy()
        state.update(event_id.encode())
        return state.digest()

    return identity_hash


def fingerprint(secret: str) -> str:
    """Return 16 hexadecimal digits that tell two secrets apart and give neither away."""
    return blake2b(digest_size=8, key=_key(secret), person=b"fingerprint").hexdigest()


def _key(secret: str) -> bytes:
    return blake2b(secret.encode(), digest_size=32, person=b"key").digest()
