"""What the counters take in Redis: all of it, and key by key by what the keys hold."""

from collections import Counter
from dataclasses import dataclass

import redis

BATCH = 2_000
CELL_KINDS = frozenset({"h", "d", "ha", "da"})
ID_KINDS = frozenset({"x"})


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisMemory:
    """Bytes by kind of key (the letter after the epoch in `services.keyspace`), and ids counted in their sets."""

    used: int
    by_kind: dict[str, int]
    ids: int

    def of(self, kinds: frozenset[str]) -> int:
        return sum(size for kind, size in self.by_kind.items() if kind in kinds)


def used_memory(client: redis.Redis) -> int:
    return int(client.info("memory")["used_memory"])


def measure(client: redis.Redis, empty: int) -> RedisMemory:
    """Ask every key's exact size; `empty` is what the server used before the first key."""
    used = used_memory(client) - empty
    sizes: Counter[str] = Counter()
    ids = 0
    batch: list[bytes] = []
    for key in client.scan_iter(count=BATCH):
        batch.append(key)
        if len(batch) >= BATCH:
            ids += _add(client, batch, sizes)
            batch = []
    ids += _add(client, batch, sizes)
    return RedisMemory(used=used, by_kind=dict(sizes), ids=ids)


def _add(client: redis.Redis, keys: list[bytes], sizes: Counter[str]) -> int:
    """Add the keys' sizes; return how many ids are in those of them that are sets of ids."""
    pipe = client.pipeline(transaction=False)
    kinds = [kind_of(key) for key in keys]
    for key in keys:
        pipe.memory_usage(key, samples=0)
    sets = [key for key, kind in zip(keys, kinds, strict=True) if kind in ID_KINDS and key.count(b"/") == 2]
    for key in sets:
        pipe.scard(key)
    answers = pipe.execute()
    for kind, size in zip(kinds, answers, strict=False):
        sizes[kind] += size or 0
    return sum(answers[len(keys) :])


def kind_of(key: bytes) -> str:
    """Return the kind of a key: `tm:{tag}:e1:KIND:…`, or `state`."""
    parts = key.split(b":", 4)
    return (parts[3] if len(parts) > 3 else parts[-1]).decode()
