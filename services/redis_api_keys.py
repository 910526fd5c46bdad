"""API keys on Redis or Valkey: one hash outside the epochs, so that no rebuild takes them along."""

from collections.abc import Mapping, Sequence
from typing import cast

import msgspec
from redis.asyncio import Redis

from services.api_keys import ApiKey, ApiKeyId, KeyHash
from services.counters import StoreRefused
from services.keyspace import API_KEYS_KEY
from services.redis_client import translated

_decoder = msgspec.json.Decoder(ApiKey)


class RedisApiKeyStore:
    """`services.api_keys.ApiKeyStore` on Redis: key hash -> the rest of the key as JSON."""

    def __init__(self, client: Redis) -> None:
        """Build the store; `client` has `decode_responses` off."""
        self._client = client

    async def find(self, key_hash: KeyHash) -> ApiKey | None:
        with translated():
            kept = cast(bytes | None, await self._client.hget(API_KEYS_KEY, key_hash))
        return None if kept is None else _read(key_hash.encode(), kept)

    async def create(self, key_hash: KeyHash, key: ApiKey) -> None:
        with translated():
            await self._client.hset(API_KEYS_KEY, key_hash, msgspec.json.encode(key))

    async def all(self) -> Sequence[ApiKey]:
        keys = [_read(*row) for row in (await self._kept()).items()]
        return sorted(keys, key=lambda key: (key.created_ms, key.id))

    async def revoke(self, key_id: ApiKeyId) -> bool:
        found = [name for name, kept in (await self._kept()).items() if _read(name, kept).id == key_id]
        if not found:
            return False
        with translated():
            return bool(await self._client.hdel(API_KEYS_KEY, *found))

    async def _kept(self) -> Mapping[bytes, bytes]:
        with translated():
            return cast(Mapping[bytes, bytes], await self._client.hgetall(API_KEYS_KEY))


def _read(name: bytes, kept: bytes) -> ApiKey:
    try:
        return _decoder.decode(kept)
    except msgspec.MsgspecError as error:
        raise StoreRefused(
            f"the API key under {name.decode(errors='replace')} of {API_KEYS_KEY} cannot be read ({error}):"
            " delete that field, and make the key anew"
        ) from error
