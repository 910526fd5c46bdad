"""The counter store in memory: the reference that the Redis store is held against, and what API tests run on.

It keeps no time: what would expire stays, and `lifetimes` tells what was asked for.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace

from services.counters import (
    Applied,
    ApplyOutcome,
    ApplyRequest,
    Crash,
    Duplicate,
    Gap,
    PartitionState,
    ReadRequest,
    ReadResult,
    WrongEpoch,
)
from services.identifiers import Epoch, FrameOffset, PartitionId


@dataclass(slots=True)
class MemoryPartition:
    """What one partition holds. `expiry_s`: UNIX seconds by key; `lifetime_s`: seconds after a write by key."""

    state: PartitionState | None = None
    hashes: dict[str, dict[bytes, bytes]] = field(default_factory=dict)
    sets: dict[str, set[int]] = field(default_factory=dict)
    expiry_s: dict[str, int] = field(default_factory=dict)
    lifetime_s: dict[str, int] = field(default_factory=dict)


class MemoryCounterStore:
    """`services.counters.CounterStore` in this process's memory."""

    def __init__(self, partitions: int) -> None:
        self.partitions = [MemoryPartition() for _ in range(partitions)]

    async def state(self, partition: PartitionId) -> PartitionState | None:
        return self.partitions[partition].state

    async def begin(
        self,
        partition: PartitionId,
        state: PartitionState,
        *,
        lives_s: int = 0,  # noqa: ARG002  (nothing ends by itself here)
    ) -> PartitionState:
        held = self.partitions[partition]
        if held.state is None:
            held.state = state
        return held.state

    async def read(self, partition: PartitionId, request: ReadRequest) -> ReadResult:
        held = self.partitions[partition]
        return ReadResult(
            state=held.state,
            fields=[
                held.hashes.get(_text(key), {}).get(_bytes(name)) for key, *names in request.fields for name in names
            ],
            members=[
                int(int(member) in held.sets.get(_text(key), set()))
                for key, *members in request.members
                for member in members
            ],
            whole=[dict(held.hashes.get(key, {})) for key in request.whole],
        )

    async def apply(self, partition: PartitionId, request: ApplyRequest) -> ApplyOutcome:
        held = self.partitions[partition]
        if held.state is None or held.state.epoch != request.epoch:
            return WrongEpoch(held.state.epoch if held.state else None)
        if request.first <= held.state.applied_offset:
            return Duplicate(held.state.applied_offset)
        if request.first > held.state.applied_offset + 1:
            return Gap(held.state.applied_offset)
        held.state = request.state_after(held.state)
        _write(held, request)
        return Applied()

    async def count_crash(
        self, partition: PartitionId, epoch: Epoch, first: FrameOffset, last: FrameOffset, cause: str
    ) -> int:
        held = self.partitions[partition]
        if held.state is None or (held.state.epoch, held.state.applied_offset + 1) != (epoch, first):
            return 0
        before = held.state.crash
        count = before.count + 1 if before is not None and before.cause == cause else 1
        held.state = replace(held.state, crash=Crash(first=first, last=last, cause=cause, count=count))
        return count

    async def keys(self, partition: PartitionId) -> AsyncIterator[str]:
        for key in [*self.partitions[partition].hashes, *self.partitions[partition].sets]:
            yield key


def _write(held: MemoryPartition, request: ApplyRequest) -> None:
    for group, expires_at in zip(request.hashes, request.hash_expiry_s, strict=True):
        key = _text(group[0])
        if expires_at:
            held.expiry_s[key] = expires_at
        _set_fields(held, key, group[1:])
    for key_and_members in [*request.sets, *request.living_sets]:
        key = _text(key_and_members[0])
        held.sets.setdefault(key, set()).update(int(member) for member in key_and_members[1:])
    held.lifetime_s.update((_text(group[0]), request.lifetime_s) for group in request.living_sets)
    for group in request.living_hashes:
        key = _text(group[0])
        _set_fields(held, key, group[1:])
        held.lifetime_s[key] = request.lifetime_s


def _set_fields(held: MemoryPartition, key: str, entries: Sequence[str | bytes]) -> None:
    fields = held.hashes.setdefault(key, {})
    for name, value in zip(entries[::2], entries[1::2], strict=True):
        fields[_bytes(name)] = _bytes(value)


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


def _bytes(value: str | bytes) -> bytes:
    return value.encode() if isinstance(value, str) else value
