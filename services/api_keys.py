"""API keys of organizations: what a key looks like, what is kept of it, and what may be asked of a store of them.

A key is `tmk_ID_RANDOM`. It is shown once, when it is made; a store has only its SHA-256 (192 random bits need no
salt), beside an id that may be shown, and finds and revokes by it.
"""

import hashlib
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NewType, Protocol

from services.identifiers import OrganizationId, UserId
from services.tokens import Claims, Role

ApiKeyId = NewType("ApiKeyId", str)
"""Ten hexadecimal digits."""

KeyHash = NewType("KeyHash", str)
"""SHA-256 of a whole key, in hexadecimal."""

NAME_CHARACTERS_MAX: Final = 100
_ID_BYTES: Final = 5
_RANDOM_BYTES: Final = 24
_FORM: Final = re.compile(r"tmk_[0-9a-f]{10}_[0-9a-f]{48}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """What is kept of a key. `expires_ms` is None for one that lives until it is revoked."""

    id: ApiKeyId
    organization: OrganizationId
    name: str
    created_ms: int
    expires_ms: int | None

    def is_live(self, now_ms: int) -> bool:
        return self.expires_ms is None or now_ms < self.expires_ms

    def claims(self) -> Claims:
        """Return who calls with the key: an administrator of its organization."""
        return Claims(subject=UserId(f"api-key:{self.id}"), organization=self.organization, role=Role.ADMIN)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewKey:
    """A key as it is made; `text` is nowhere else."""

    id: ApiKeyId
    text: str

    @property
    def hash(self) -> KeyHash:
        return _hash(self.text)

    def __repr__(self) -> str:
        return f"NewKey(id={self.id!r})"


class ApiKeyStore(Protocol):
    """Keys by their hash. Each call is atomic; what `create` or `revoke` did holds for the next `find`.

    Every call raises `services.counters.StoreUnavailable` while the store is away, and `StoreRefused` where it holds
    what cannot be read.
    """

    async def find(self, key_hash: KeyHash) -> ApiKey | None:
        """Return the key with this hash, expired or not; None when it was never made, or is revoked."""
        ...

    async def create(self, key_hash: KeyHash, key: ApiKey) -> None:
        """Keep a key. Again with the same hash, it takes the place of what was kept."""
        ...

    async def all(self) -> Sequence[ApiKey]:
        """Return every key that is not revoked, oldest first."""
        ...

    async def revoke(self, key_id: ApiKeyId) -> bool:
        """Forget a key, and return whether there was one."""
        ...


def make_key() -> NewKey:
    """Return a new random key."""
    key_id = ApiKeyId(secrets.token_hex(_ID_BYTES))
    return NewKey(id=key_id, text=f"tmk_{key_id}_{secrets.token_hex(_RANDOM_BYTES)}")


def hash_of(text: str) -> KeyHash | None:
    """Return the hash that a key is kept under; None for what does not look like one, which need not be looked up."""
    return _hash(text) if _FORM.fullmatch(text) else None


def _hash(text: str) -> KeyHash:
    return KeyHash(hashlib.sha256(text.encode()).hexdigest())
