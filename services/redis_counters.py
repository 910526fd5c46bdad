"""The counter store on Redis or Valkey: four scripts, each on the keys of one hash slot.

On a cluster every key that a script touches is named to the server (KEYS), not the state's alone: while a slot is on
its way to another node, that node holds the keys that have come and takes all others for empty (tried: a counter that
was still on the old node was read as nothing). A script whose keys are named is refused there while one is missing.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from functools import lru_cache
from importlib.resources import files
from itertools import chain
from typing import Any, cast

import msgpack
from redis.asyncio import Redis
from redis.exceptions import NoPermissionError, NoScriptError, ResponseError

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
from services.redis_client import STRANGER, translated
from services.redis_cluster import ClusterClient
from services.redis_permissions import is_forbidden, lacking
from services.redis_scan import scan_page

GROUP_ARGUMENTS_MAX = 4_000
"""Arguments after the key in one group: Lua's `unpack` fails near 8,000 values."""

STATES_REMEMBERED = 256
"""Read states: between two runs of frames a partition's is the same, and to read it anew takes a tenth of a call."""


Call = Callable[..., Awaitable[Any]]
"""Sends a command and gives its reply."""


class Script:
    """A Lua script called by its hash, loaded again when the server does not know it (restart, failover)."""

    def __init__(self, call: Call, name: str) -> None:
        self._call = call
        self._name = name
        self._text = files("services").joinpath("lua", f"{name}.lua").read_text()
        self._hash: str | bytes | None = None

    async def __call__(self, key: str, *arguments: str | bytes | int, others: Sequence[str] = ()) -> Any:
        """Return what it answers.

        Args:
            others: keys that it touches beside the first one; a cluster must be told.
        """
        with translated():
            if self._hash is None:
                self._hash = await self._call("SCRIPT LOAD", self._text)
            try:
                return await self._call("EVALSHA", self._hash, 1 + len(others), key, *others, *arguments)
            except NoScriptError:
                self._hash = await self._call("SCRIPT LOAD", self._text)
                return await self._call("EVALSHA", self._hash, 1 + len(others), key, *others, *arguments)
            except ResponseError as error:
                if "user_script" in str(error) and is_forbidden(str(error)):
                    raise NoPermissionError(lacking(self._name, self._text, str(error))) from error
                raise


class RedisCounterStore:
    """`services.counters.CounterStore` on Redis 6.2 or Valkey 7.2 and later."""

    def __init__(
        self,
        client: Redis,
        partitions: int,
        read_call: Call | None = None,
        state_key: Callable[[str], str] = state_key,
    ) -> None:
        """Build the store.

        Args:
            client: with `decode_responses` off.
            partitions: P, the number of partitions of `usage.frames`.
            read_call: sends the commands of `read`; the client if None.
            state_key: makes the key of a partition's state out of its hash tag: of the live one, or of the shadow.
        """
        self._client = client
        self._names_keys = isinstance(client, ClusterClient)
        self._tags = tags(partitions)
        self._states = [state_key(tag) for tag in self._tags]
        self._read = Script(read_call or client.execute_command, "read")
        self._apply = Script(client.execute_command, "apply")
        self._begin = Script(client.execute_command, "begin")
        self._count_crash = Script(client.execute_command, "count_crash")

    async def state(self, partition: PartitionId) -> PartitionState | None:
        with translated():
            fields = await self._client.hgetall(self._states[partition])
        return _state(cast(dict[bytes, bytes], fields), partition)

    async def begin(self, partition: PartitionId, state: PartitionState, *, lives_s: int = 0) -> PartitionState:
        answer = await self._begin(self._states[partition], lives_s, *write_state(state))
        begun = _state(_pairs(answer), partition)
        assert begun is not None
        return begun

    async def read(self, partition: PartitionId, request: ReadRequest) -> ReadResult:
        wanted = msgpack.packb(
            (_sliced(request.fields), _sliced(request.members), list(request.whole)), use_bin_type=False
        )
        others = _keys_of(request.fields, request.members, request.whole) if self._names_keys else ()
        state, values, members, whole = await self._read(self._states[partition], wanted, others=others)
        return ReadResult(
            state=_known_state(tuple(state), partition),
            fields=list(chain.from_iterable(values)),
            members=list(chain.from_iterable(members)),
            whole=[_pairs(entries) for entries in whole],
        )

    async def apply(self, partition: PartitionId, request: ApplyRequest) -> ApplyOutcome:
        groups = (request.hashes, request.sets, request.living_sets, request.living_hashes)
        others = _keys_of(*groups) if self._names_keys else ()
        answer = await self._apply(
            self._states[partition], request.epoch, request.first, request.last, pack_run(request), others=others
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
            case [b"TYPE", key]:
                raise StoreRefused(
                    f"{key.decode()} in Redis is of another type than Tidemark's: {STRANGER}; of the frames from"
                    f" {request.first} to {request.last} nothing was applied"
                )
            case _:
                raise StoreRefused(f"the apply script answered {answer!r}; another version of it is loaded")

    async def count_crash(
        self, partition: PartitionId, epoch: Epoch, first: FrameOffset, last: FrameOffset, cause: str
    ) -> int:
        return int(await self._count_crash(self._states[partition], epoch, first, last, cause))

    async def keys(self, partition: PartitionId) -> AsyncIterator[str]:
        pattern = f"{PREFIX}{{{self._tags[partition]}}}:*"
        seen: set[bytes] = set()
        cursor = 0
        while True:
            with translated():
                cursor, names = await scan_page(self._client, cursor, pattern)
            for name in names:
                if name not in seen:
                    seen.add(name)
                    yield name.decode()
            if cursor == 0:
                return


def _keys_of(*groups: Sequence[Sequence[str | bytes] | str]) -> list[str]:
    """Return the keys of groups that begin with one, and keys that stand for themselves, once each."""
    keys = (group if isinstance(group, str) else group[0] for each in groups for group in each)
    return list(dict.fromkeys(cast(Iterator[str], keys)))


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
        _flat(hashes),
        expiry,
        _flat(_sliced(request.sets)),
        _flat(_sliced(request.living_sets)),
        _flat(_sliced(request.living_hashes)),
        request.lifetime_s,
    )
    packed = msgpack.packb(run, use_bin_type=False)
    assert isinstance(packed, bytes)
    return packed


def _flat(groups: Sequence[Sequence[str | bytes]]) -> tuple[list[int], list[str | bytes]]:
    """Return the groups' lengths, and the groups one behind the other."""
    return list(map(len, groups)), list(chain.from_iterable(groups))


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


@lru_cache(maxsize=STATES_REMEMBERED)
def _known_state(flat: tuple[bytes, ...], partition: PartitionId) -> PartitionState | None:
    return _state(_pairs(flat), partition)


def _state(fields: dict[bytes, bytes], partition: PartitionId) -> PartitionState | None:
    try:
        return read_state(fields)
    except (KeyError, ValueError) as error:
        raise StoreRefused(
            f"the state of partition {partition} cannot be read ({error!r}): the counters are damaged;"
            " restore Redis from a backup, or rebuild"
        ) from error
