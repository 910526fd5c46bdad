"""What every store of API keys must do: one suite over the in-memory reference and a real Redis or Valkey."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from redis.asyncio import Redis

from services.api_keys import ApiKey, ApiKeyId, ApiKeyStore, KeyHash, NewKey, make_key
from services.counters import StoreRefused, StoreUnavailable
from services.identifiers import OrganizationId
from services.keyspace import API_KEYS_KEY
from services.memory_api_keys import MemoryApiKeyStore
from services.redis_api_keys import RedisApiKeyStore
from services.redis_client import connect
from services.settings import RedisSettings

pytestmark = pytest.mark.contract


@pytest.fixture(params=["memory", "redis"])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[ApiKeyStore]:
    if request.param == "memory":
        yield MemoryApiKeyStore()
        return
    client = connect(RedisSettings(url=request.getfixturevalue("redis_url")))
    yield RedisApiKeyStore(client)
    await client.aclose()


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[Redis]:
    client = connect(RedisSettings(url=redis_url))
    yield client
    await client.aclose()


def made(created_ms: int = 1, expires_ms: int | None = None) -> tuple[NewKey, ApiKey]:
    new = make_key()
    organization = OrganizationId("acme € %/")
    return new, ApiKey(
        id=new.id, organization=organization, name='"ci" é', created_ms=created_ms, expires_ms=expires_ms
    )


async def test_a_store_without_keys_has_none(store: ApiKeyStore) -> None:
    assert await store.find(make_key().hash) is None
    assert list(await store.all()) == []
    assert not await store.revoke(ApiKeyId("0123456789"))


async def test_a_key_is_found_by_its_hash_with_all_that_was_kept(store: ApiKeyStore) -> None:
    pairs = [made(), made(expires_ms=2**53)]
    for new, key in pairs:
        await store.create(new.hash, key)
    for new, key in pairs:
        assert await store.find(new.hash) == key
        assert await store.find(KeyHash(new.hash[::-1])) is None


async def test_an_expired_key_is_still_found_and_listed(store: ApiKeyStore) -> None:
    new, key = made(expires_ms=2)
    await store.create(new.hash, key)
    assert await store.find(new.hash) == key
    assert list(await store.all()) == [key]


async def test_keys_come_oldest_first(store: ApiKeyStore) -> None:
    pairs = [made(created_ms) for created_ms in range(12, 0, -1)]
    for new, key in pairs:
        await store.create(new.hash, key)
    assert [key.created_ms for key in await store.all()] == list(range(1, 13))


async def test_a_revoked_key_is_gone_and_the_others_stay(store: ApiKeyStore) -> None:
    (new, key), (other_new, other) = made(1), made(2)
    await store.create(new.hash, key)
    await store.create(other_new.hash, other)
    assert await store.revoke(key.id)
    assert await store.find(new.hash) is None
    assert list(await store.all()) == [other]
    assert not await store.revoke(key.id)
    assert await store.find(other_new.hash) == other


async def test_the_same_hash_again_takes_the_place(store: ApiKeyStore) -> None:
    new, key = made()
    await store.create(new.hash, key)
    await store.create(new.hash, replace(key, name="another"))
    assert [each.name for each in await store.all()] == ["another"]


async def test_redis_holds_nothing_that_could_be_used_as_a_key(client: Redis) -> None:
    new, key = made()
    await RedisApiKeyStore(client).create(new.hash, key)
    (name,) = await client.keys("*")
    assert name == API_KEYS_KEY.encode() == b"tm:api-keys"
    ((field, value),) = (await client.hgetall(API_KEYS_KEY)).items()
    assert field == new.hash.encode()
    random_part = new.text.rpartition("_")[2].encode()
    assert random_part not in field
    assert random_part not in value
    assert await client.ttl(API_KEYS_KEY) == -1


async def test_redis_that_is_away_is_unavailable_not_refused() -> None:
    client = connect(RedisSettings(url="redis://127.0.0.1:1/0"), timeout_s=0.5)
    store = RedisApiKeyStore(client)
    new, key = made()
    for call in (store.find(new.hash), store.create(new.hash, key), store.all(), store.revoke(key.id)):
        with pytest.raises(StoreUnavailable):
            await call
    await client.aclose()


@pytest.mark.parametrize("kept", [b"garbage", b"{}", b"\xff"])
async def test_a_key_in_redis_that_cannot_be_read_is_refused_with_the_remedy(client: Redis, kept: bytes) -> None:
    store = RedisApiKeyStore(client)
    new, _ = made()
    await client.hset(API_KEYS_KEY, new.hash, kept)
    for call in (store.find(new.hash), store.all()):
        with pytest.raises(StoreRefused, match="delete that field"):
            await call
    await client.delete(API_KEYS_KEY)
    await client.set(API_KEYS_KEY, "a string")
    with pytest.raises(StoreRefused, match="another type of value"):
        await store.find(new.hash)
