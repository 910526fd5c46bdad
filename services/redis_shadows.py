"""Shadow epochs on Redis: one run at a time, epochs that nobody used, the swap, and taking keys away in slices.

A shadow is an epoch of counters that is made beside the live one, with a state of its own (`services.keyspace`). What
is written to it goes through the counter store; here is what only `verify` and `rebuild` need.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from redis.asyncio import Redis

from services.counters import PartitionState, StoreRefused
from services.identifiers import Epoch, PartitionId
from services.keyspace import PREFIX, SHADOW_EPOCH_KEY, SHADOW_RUN_KEY, shadow_key, state_key, tags
from services.redis_client import translated
from services.redis_cluster import ClusterClient
from services.redis_counters import Script
from services.redis_scan import scan_page

RUN_LEASE_S: Final = 3
"""How long a run that was killed keeps the next one from beginning."""

UNLINKED_AT_ONCE: Final = 4_000
"""Keys in one call, which takes Redis some 6 ms; the memory of large ones is given back beside."""

ENDED_AT_ONCE: Final = 1_000
_FIELDS_COUNT: Final = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Carried:
    """What is written to one hash of a shadow. `end_s`: UNIX second at which it ends, 0 for never."""

    key: str
    fields: Mapping[bytes, bytes]
    gone: Sequence[bytes]
    end_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CarriedIds:
    """Identities of one generation. `key`: of their period, which gets `fields`; all live `lifetime_s`, 0 for ever."""

    key: str
    fields: Mapping[bytes, bytes]
    sets: Mapping[str, Sequence[int]]
    lifetime_s: int


class RedisShadows:
    """What verify and rebuild do to Redis beside reading and applying; errors as of `CounterStore`."""

    def __init__(self, client: Redis, partitions: int) -> None:
        self._client = client
        self._names_keys = isinstance(client, ClusterClient)
        self._tags = tags(partitions)
        self._swap = Script(client.execute_command, "swap")
        self._unlink = Script(client.execute_command, "unlink")

    async def take_run(self, run: str) -> bool:
        """Begin a run, or say that another one is under way. What tells runs apart is `run`."""
        with translated():
            return bool(await self._client.set(SHADOW_RUN_KEY, run, nx=True, ex=RUN_LEASE_S))

    async def keep_run(self, run: str) -> bool:
        """Go on with a run for another lease; False when another one has begun since this one's was over."""
        with translated():
            if await self._client.set(SHADOW_RUN_KEY, run, nx=True, ex=RUN_LEASE_S):
                return True
            if await self._client.get(SHADOW_RUN_KEY) != run.encode():
                return False
            await self._client.expire(SHADOW_RUN_KEY, RUN_LEASE_S)
            return True

    async def end_run(self, run: str) -> None:
        with translated():
            if await self._client.get(SHADOW_RUN_KEY) == run.encode():
                await self._client.delete(SHADOW_RUN_KEY)

    async def new_epoch(self, live: Epoch) -> Epoch:
        """Return an epoch above the live one that no run took before: a run thought dead may still be writing."""
        with translated():
            while True:
                number = int(await self._client.incr(SHADOW_EPOCH_KEY))
                if number > live:
                    return Epoch(number)
                await self._client.set(SHADOW_EPOCH_KEY, int(live))

    async def swap(self, partition: PartitionId, live: PartitionState, shadow: PartitionState) -> bool:
        """Make the shadow the live epoch of its partition, in one step; False when the live one stands elsewhere.

        Args:
            live, shadow: what both must be: epoch, applied offset and the id of the frame there.

        Raises:
            StoreRefused: the shadow is another one: it is another run's by now, or Redis lost writes.
        """
        tag = self._tags[partition]
        others = (shadow_key(tag),) if self._names_keys else ()
        answer = await self._swap(state_key(tag), shadow_key(tag), *_place(live), *_place(shadow), others=others)
        if answer[0] == b"SHADOW":
            raise StoreRefused(
                f"the shadow of partition {partition} stands at epoch and frame {answer[1:]!r} instead of"
                f" {shadow.epoch} and {shadow.applied_offset}: another run took it over, or Redis lost writes; nothing"
                " was changed, run it again"
            )
        return bool(answer[0] == b"SWAPPED")

    async def drop_state(self, partition: PartitionId, epoch: Epoch | None = None) -> None:
        """Take a shadow's state away; with an epoch, only if it is of that one."""
        key = shadow_key(self._tags[partition])
        with translated():
            if epoch is None or await self._client.hget(key, "epoch") == b"%d" % epoch:
                await self._client.unlink(key)

    async def page_of_keys(self, cursor: int, partition: PartitionId | None = None) -> tuple[int, list[bytes]]:
        """Return where to go on, 0 at the end, and some keys of a partition's epochs; the first page is of cursor 0.

        Args:
            partition: None for all of them.
        """
        tag = "*" if partition is None else self._tags[partition]
        with translated():
            return await scan_page(self._client, cursor, f"{PREFIX}{{{tag}}}:e*")

    async def page_of_hash(self, key: str, cursor: int) -> tuple[int, dict[bytes, bytes]]:
        """Return where to go on, 0 at the end, and some fields of a hash; the first page is of cursor 0."""
        with translated():
            cursor, fields = await self._client.hscan(key, cursor, count=_FIELDS_COUNT)
        return cursor, cast(dict[bytes, bytes], fields)

    async def unlink(self, partition: PartitionId, epoch: Epoch, keys: Sequence[str]) -> int | None:
        """Take away up to `UNLINKED_AT_ONCE` keys of an epoch, and return how many there were.

        None, and nothing is done, if that is the live epoch, or none is live.
        """
        others = keys if self._names_keys else ()
        return cast(int | None, await self._unlink(state_key(self._tags[partition]), epoch, *keys, others=others))

    async def end_in(self, keys: Sequence[str], seconds: int) -> None:
        """Let keys of one partition end so many seconds from now; up to `ENDED_AT_ONCE`."""
        with translated():
            async with self._client.pipeline(transaction=False) as calls:
                for key in keys:
                    calls.expire(key, seconds)
                await calls.execute()

    async def carry(self, hashes: Sequence[Carried]) -> None:
        """Write to some hashes of a shadow, that nobody else writes to."""
        with translated():
            async with self._client.pipeline(transaction=False) as calls:
                for each in hashes:
                    if each.gone:
                        calls.hdel(each.key, *cast(Sequence[str], each.gone))
                    if each.fields:
                        calls.hset(each.key, mapping=cast(Any, dict(each.fields)))
                    if each.end_s:
                        calls.expireat(each.key, each.end_s)
                await calls.execute()

    async def carry_ids(self, ids: CarriedIds) -> None:
        """Add identities to sets of a shadow, with what its period's hash says of them."""
        with translated():
            async with self._client.pipeline(transaction=False) as calls:
                calls.hset(ids.key, mapping=cast(Any, dict(ids.fields)))
                for key, members in ids.sets.items():
                    calls.sadd(key, *members)
                for key in (ids.key, *ids.sets) if ids.lifetime_s else ():
                    calls.expire(key, ids.lifetime_s)
                await calls.execute()

    async def carry_state(self, partition: PartitionId, fields: Mapping[str, str]) -> None:
        """Write to a shadow's state what is no part of its place."""
        with translated():
            await self._client.hset(shadow_key(self._tags[partition]), mapping=cast(Any, dict(fields)))

    async def members(self, keys: Sequence[str]) -> list[list[bytes]]:
        """Return the members of some sets of one partition, each as decimal bytes; none of one that is not there."""
        with translated():
            async with self._client.pipeline(transaction=False) as calls:
                for key in keys:
                    calls.smembers(key)
                answers = await calls.execute()
        return [list(answer) for answer in answers]


def _place(state: PartitionState) -> tuple[int, int, str]:
    return state.epoch, state.applied_offset, "" if state.frame_id is None else str(state.frame_id)
