"""The counter store's protocol: what the aggregator and the query API may rely on, whatever the store is.

A store holds, for each partition, hashes (field -> bytes), sets of signed 64-bit integers, and one state. The fold
decides what to write; the store only reads and writes it atomically. Implementations: `services.redis_counters`
(Redis, Valkey) and `services.memory_counters` (the reference, for tests). Both pass `tests/contract`.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

from services.identifiers import Epoch, FrameId, FrameOffset, PartitionId

NOTHING_APPLIED = FrameOffset(-1)
"""The applied offset of a partition whose first frame, at offset 0, is still to come."""

CRASHES_MAX: Final = 5
"""Equal crashes on one frame after which no worker is started on it again by itself."""


class StoreUnavailable(Exception):
    """The store is away or cannot write now (down, loading, read-only, full): try again later."""


class StoreRefused(Exception):
    """The store holds what Tidemark cannot go on with; the message names the remedy. Trying again does not help."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourcePosition:
    """How far the frames of a partition cover one source partition.

    Attributes:
        next_offset: every record of the source before this offset is covered.
        read_up_to_ms: broker time before which every record of the source is covered; None when unknown.
    """

    next_offset: int
    read_up_to_ms: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Crash:
    """Workers that ended by a bug while they folded the next frames of a partition. It decides no outcome.

    Attributes:
        first, last: the frames that the last of them folded together; `first` is the applied offset + 1.
        cause: the kind of error and where it was raised.
        count: how many in a row had the same `first` and cause.
    """

    first: FrameOffset
    last: FrameOffset
    cause: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionState:
    """Progress of one partition; all of it but `crash` changes in the same step as the counters.

    Attributes:
        epoch: generation of the counters.
        applied_offset: `cur`, the offset of the last applied frame, -1 before the first.
        frame_id: id of that frame; None before the first.
        partitions: P of the deployment that wrote the state.
        fingerprint: of the identity hash's secret.
        source_partitions: topic -> how many partitions it has, as the frames say.
        sources: (topic, partition) -> position.
        months: month -> id of the last frame that holds a usage event of it. While it stays, no counter or bitmap of
            the month's hours and days changes.
        crash: what happened to the frame after the applied offset; None when nothing did. Applying it forgets this.
    """

    epoch: Epoch
    applied_offset: FrameOffset
    frame_id: FrameId | None
    partitions: int
    fingerprint: str
    source_partitions: Mapping[str, int] = field(default_factory=dict)
    sources: Mapping[tuple[str, int], SourcePosition] = field(default_factory=dict)
    months: Mapping[int, FrameId] = field(default_factory=dict)
    crash: Crash | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadRequest:
    """What to read in one atomic step.

    Attributes:
        fields: (hash key, field, field, …) groups.
        members: (set key, integer, integer, …) groups, integers as decimal bytes.
        whole: keys of hashes wanted whole.
    """

    fields: Sequence[Sequence[str | bytes]] = ()
    members: Sequence[Sequence[str | bytes]] = ()
    whole: Sequence[str] = ()

    @property
    def asks_nothing(self) -> bool:
        return not (self.fields or self.members or self.whole)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadResult:
    """What one read saw; all of it belongs to (`state.epoch`, `state.applied_offset`).

    Attributes:
        state: None when the partition has none yet.
        fields: the values of all groups one after the other, None where a field is absent.
        members: 1 where the integer is a member, else 0, all groups one after the other.
        whole: one mapping a key, empty when it does not exist.
    """

    state: PartitionState | None
    fields: Sequence[bytes | None]
    members: Sequence[int]
    whole: Sequence[Mapping[bytes, bytes]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplyRequest:
    """One run of consecutive frames of one partition, folded.

    Attributes:
        epoch, first, last: the run holds the frames at offsets `first` to `last` of `usage.frames`, folded on
            reads at (`epoch`, `first` - 1).
        frame_id: id of the frame at `last`.
        source_partitions, sources, months: what changes of the state's.
        hashes: (key, field, value, field, value, …) groups, absolute values.
        hash_expiry_s: for each group, UNIX seconds at which the key ends; 0 leaves that as it is.
        sets: (key, integer, …) groups to add, integers as decimal bytes; the key's end stays as it is.
        living_sets: the same, and the key lives `lifetime_s` after this write.
        living_hashes: (key, field, value, …) groups whose key lives as long.
        lifetime_s: seconds, 0 for ever.
    """

    epoch: Epoch
    first: FrameOffset
    last: FrameOffset
    frame_id: FrameId
    source_partitions: Mapping[str, int] = field(default_factory=dict)
    sources: Mapping[tuple[str, int], SourcePosition] = field(default_factory=dict)
    months: Mapping[int, FrameId] = field(default_factory=dict)
    hashes: Sequence[Sequence[str | bytes]] = ()
    hash_expiry_s: Sequence[int] = ()
    sets: Sequence[Sequence[str | bytes]] = ()
    living_sets: Sequence[Sequence[str | bytes]] = ()
    living_hashes: Sequence[Sequence[str | bytes]] = ()
    lifetime_s: int = 0

    def state_after(self, before: PartitionState) -> PartitionState:
        """Return the state that the run leaves where it is applied."""
        return replace(
            before,
            applied_offset=self.last,
            frame_id=self.frame_id,
            source_partitions={**before.source_partitions, **self.source_partitions},
            sources={**before.sources, **self.sources},
            months={**before.months, **self.months},
            crash=None,
        )


@dataclass(frozen=True, slots=True)
class Applied:
    """The run was applied now."""


@dataclass(frozen=True, slots=True)
class Duplicate:
    """The run begins at or below the applied offset: nothing was changed. Read anew from `applied_offset` + 1."""

    applied_offset: FrameOffset


@dataclass(frozen=True, slots=True)
class Gap:
    """The run begins beyond the applied offset + 1: nothing was changed. Redis lost writes; end the worker."""

    applied_offset: FrameOffset


@dataclass(frozen=True, slots=True)
class WrongEpoch:
    """Another epoch is live, or none: nothing was changed. Read anew."""

    epoch: Epoch | None


ApplyOutcome = Applied | Duplicate | Gap | WrongEpoch


class CounterStore(Protocol):
    """Atomic reads and writes of one partition's counters.

    Every method raises `StoreUnavailable` for what may pass and `StoreRefused` for what will not. After
    `StoreUnavailable` from `apply` it is unknown whether the run was applied: call again with the same request
    (then `Duplicate` means that it was), or read anew. Never fold again on old reads.
    """

    async def state(self, partition: PartitionId) -> PartitionState | None:
        """Return the partition's state, None when it has none."""

    async def begin(self, partition: PartitionId, state: PartitionState, *, lives_s: int = 0) -> PartitionState:
        """Create the state of a partition that has none, and return the one that stands there now.

        Args:
            lives_s: seconds after which a new one is gone, unless its end is moved on; 0 for never.
        """

    async def read(self, partition: PartitionId, request: ReadRequest) -> ReadResult:
        """Read in one atomic step."""

    async def apply(self, partition: PartitionId, request: ApplyRequest) -> ApplyOutcome:
        """Write a run in one atomic step, or nothing of it."""

    async def count_crash(
        self, partition: PartitionId, epoch: Epoch, first: FrameOffset, last: FrameOffset, cause: str
    ) -> int:
        """Count a crash on frames `first` to `last` and return how many equal ones there were; the last one stays.

        0, and nothing is changed, when the partition stands elsewhere by now than at (`epoch`, `first` - 1).
        """

    def keys(self, partition: PartitionId) -> AsyncIterator[str]:
        """Yield the partition's keys in any order; keys written meanwhile may be missing, none comes twice."""
        ...
