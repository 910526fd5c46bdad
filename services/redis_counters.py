"""The counter store on Redis or Valkey: three scripts, each on the keys of one hash slot."""

from collections.abc import AsyncIterator, Sequence
from importlib.resources import files
from typing import Any, cast

import msgpack
from redis.asyncio import Redis
from redis.exceptions import NoScriptError

from services.counters import (
    Applied,
    ApplyOutcome,
    ApplyRequest,
    Duplicate,
    Gap,
    PartitionState,
    ReadRequest,
    ReadResult,
    StoreRefused,
    WrongEpoch,
)
from services.identifiers import Epoch, FrameOffset, PartitionId
from services.keyspace import PREFIX, state_key, tags
from services.partition_state import read_state, write_progress, write_state
from services.redis_client import translated

GROUP_ARGUMENTS_MAX = 4_000
"""Arguments after the key in one group: Lua's `unpack` fails near 8,000 values."""

_SCAN_COUNT = 5_000


class Script:
    """A Lua script called by its hash, loaded again when the server does not know it (restart, failover)."""

    def __init__(self, client: Redis, name: str) -> None:
        self._client = client
        self._text = files("services").joinpath("lua", f"{name}.lua").read_text()
        self._hash: str | None = None

    async def __call__(self, key: str, *arguments: str | bytes | int) -> Any:
        with translated():
            if self._hash is None:
                self._hash = await self._client.script_load(self._text)
            try:
                return await self._client.evalsha(self._hash, 1, key, *arguments)
            except NoScriptError:
                self._hash = await self._client.script_load(self._text)
                return await self._client.evalsha(self._hash, 1, key, *arguments)


class RedisCounterStore:
    """`services.counters.CounterStore` on Redis 6.2 or Valkey 7.2 and later."""

    def __init__(self, client: Redis, partitions: int) -> None:
        """Build the store.

        Args:
            client: with `decode_responses` off.
            partitions: P, the number of partitions of `usage.frames`.
        """
        self._client = client
        self._tags = tags(partitions)
        self._read = Script(client, "read")
        self._apply = Script(client, "apply")
        self._begin = Script(client, "begin")

    async def state(self, partition: PartitionId) -> PartitionState | None:
        with translated():
            fields = await self._client.hgetall(state_key(self._tags[partition]))
        return _state(cast(dict[bytes, bytes], fields), partition)

    async def begin(self, partition: PartitionId, state: PartitionState) -> PartitionState:
        answer = await self._begin(state_key(self._tags[partition]), *write_state(state))
        begun = _state(_pairs(answer), partition)
        assert begun is not None
        return begun

    async def read(self, partition: PartitionId, request: ReadRequest) -> ReadResult:
        wanted = msgpack.packb(
            (_sliced(request.fields), _sliced(request.members), list(request.whole)), use_bin_type=False
        )
        answer = await self._read(state_key(self._tags[partition]), wanted)
        state, values, members, whole = msgpack.unpackb(answer, raw=True, strict_map_key=False)
        return ReadResult(
            state=_state(_pairs(state), partition),
            fields=[None if value is False else value for value in values],
            members=list(members),
            whole=[_pairs(entries) for entries in whole],
        )

    async def apply(self, partition: PartitionId, request: ApplyRequest) -> ApplyOutcome:
        answer = await self._apply(
            state_key(self._tags[partition]), request.epoch, request.first, request.last, pack_run(request)
        )
        match answer:
            case [b"APPLIED"]:
                return Applied()
            case [b"DUP", applied]:
                return Duplicate(FrameOffset(int(applied)))
            case [b"GAP", applied]:
                return Gap(FrameOffset(int(applied)))
            case [b"EPOCH", epoch]:
                return WrongEpoch(Epoch(int(epoch)) if epoch else None)
            case _:
                raise StoreRefused(f"the apply script answered {answer!r}; another version of it is loaded")

    async def keys(self, partition: PartitionId) -> AsyncIterator[str]:
        pattern = f"{PREFIX}{{{self._tags[partition]}}}:*"
        seen: set[bytes] = set()
        cursor = 0
        while True:
            with translated():
                cursor, names = await self._client.scan(cursor, match=pattern, count=_SCAN_COUNT)
            for name in cast(list[bytes], names):
                if name not in seen:
                    seen.add(name)
                    yield name.decode()
            if cursor == 0:
                return


def pack_run(request: ApplyRequest) -> bytes:
    """Return the last argument of the apply script; the same request gives the same bytes."""
    hashes: Sequence[Sequence[str | bytes]] = request.hashes
    expiry = list(request.hash_expiry_s)
    if max(map(len, hashes), default=0) > GROUP_ARGUMENTS_MAX + 1:
        slices = [_sliced([group]) for group in hashes]
        hashes = [part for parts in slices for part in parts]
        expiry = [end for parts, end in zip(slices, expiry, strict=True) for _ in parts]
    run = (
        write_progress(request),
        hashes,
        expiry,
        _sliced(request.sets),
        _sliced(request.living_hashes),
        request.lifetime_s,
    )
    packed = msgpack.packb(run, use_bin_type=False)
    assert isinstance(packed, bytes)
    return packed


def _sliced(groups: Sequence[Sequence[str | bytes]]) -> list[Sequence[str | bytes]]:
    if max(map(len, groups), default=0) <= GROUP_ARGUMENTS_MAX + 1:
        return list(groups)
    return [
        [group[0], *group[start : start + GROUP_ARGUMENTS_MAX]]
        for group in groups
        for start in range(1, len(group), GROUP_ARGUMENTS_MAX)
    ]


def _pairs(flat: Sequence[bytes]) -> dict[bytes, bytes]:
    return dict(zip(flat[::2], flat[1::2], strict=True))


def _state(fields: dict[bytes, bytes], partition: PartitionId) -> PartitionState | None:
    try:
        return read_state(fields)
    except (KeyError, ValueError) as error:
        raise StoreRefused(
            f"the state of partition {partition} cannot be read ({error!r}): the counters are damaged;"
            " restore Redis from a backup, or rebuild"
        ) from error
