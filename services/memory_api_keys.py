"""API keys in memory: the reference that the Redis store is held against, and what API tests run on."""

from collections.abc import Sequence

from services.api_keys import ApiKey, ApiKeyId, KeyHash


class MemoryApiKeyStore:
    """`services.api_keys.ApiKeyStore` in this process's memory."""

    def __init__(self) -> None:
        self._keys: dict[KeyHash, ApiKey] = {}

    async def find(self, key_hash: KeyHash) -> ApiKey | None:
        return self._keys.get(key_hash)

    async def create(self, key_hash: KeyHash, key: ApiKey) -> None:
        self._keys[key_hash] = key

    async def all(self) -> Sequence[ApiKey]:
        return sorted(self._keys.values(), key=lambda key: (key.created_ms, key.id))

    async def revoke(self, key_id: ApiKeyId) -> bool:
        found = [key_hash for key_hash, key in self._keys.items() if key.id == key_id]
        for key_hash in found:
            del self._keys[key_hash]
        return bool(found)
