"""Cells as the aggregator writes them, for tests of what reads them; one small use at a time, nothing folded."""

from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np

from services.counter_codec import pack
from services.counters import ApplyRequest, PartitionState, SourcePosition
from services.identifiers import Epoch, FrameId, FrameOffset, OrganizationId, TeamId, UserId
from services.keyspace import (
    COUNT_FIELD,
    Kind,
    Scope,
    counter_field,
    counter_key,
    epoch_prefix,
    index_key,
    partition_of,
    period_and_place,
    tags,
)
from services.memory_counters import MemoryCounterStore
from services.metrics_contract import COUNTERS_PER_PRODUCT_MAX, PRODUCTS, Product
from services.redis_counters import RedisCounterStore
from services.windows import Window

TOPIC = "usage.events"


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """One usage event: `amounts` by counter name, in the hour window `hour`."""

    organization: str = "acme"
    team: str | None = None
    user: str
    hour: int
    product: Product
    amounts: dict[str, int]


@dataclass
class Counted:
    """Collects uses and writes them as one run of frames of each partition."""

    partitions: int = 4
    epoch: Epoch = Epoch(1)
    read_up_to_ms: int | None = None
    cells: dict[tuple[int, Kind, Scope, int, int], list[int]] = field(default_factory=dict)
    bitmaps: dict[tuple[int, Kind, Scope, int, int], int] = field(default_factory=dict)
    indexes: dict[tuple[int, Scope], dict[str, int]] = field(default_factory=lambda: defaultdict(dict))

    def add(self, use: Use) -> None:
        partition = partition_of(use.organization, self.partitions)
        organization = Scope(organization=OrganizationId(use.organization))
        scopes = [organization]
        if use.team is not None:
            scopes.append(Scope(organization=organization.organization, team=TeamId(use.team)))
        active = use.amounts.get(use.product.leading, 0) >= 1
        for window, hours, actives, number in (
            (Window.HOUR, Kind.HOURS, Kind.ACTIVE_HOURS, use.hour),
            (Window.DAY, Kind.DAYS, Kind.ACTIVE_DAYS, use.hour // 24),
        ):
            period, place = period_and_place(window, number)
            at = counter_field(place, use.product.code)
            user = Scope(organization=organization.organization, user=UserId(use.user))
            for scope in [*scopes, user]:
                row = self.cells.setdefault((partition, hours, scope, period, at), [0] * COUNTERS_PER_PRODUCT_MAX)
                for place_in_row, name in enumerate(use.product.counters):
                    row[place_in_row] += use.amounts.get(name, 0)
            for scope in scopes:
                index = self.indexes[partition, scope]
                ordinal = index.setdefault(use.user, len(index))
                if active:
                    key = (partition, actives, scope, period, at)
                    self.bitmaps[key] = self.bitmaps.get(key, 0) | 1 << ordinal

    async def write(self, store: MemoryCounterStore | RedisCounterStore) -> None:
        """Begin each partition that holds something, and apply it as the next frame."""
        for partition in sorted({partition_of(scope.organization, self.partitions) for _, scope in self.indexes}):
            state = PartitionState(
                epoch=self.epoch,
                applied_offset=FrameOffset(-1),
                frame_id=None,
                partitions=self.partitions,
                fingerprint="test",
            )
            offset = FrameOffset((await store.begin(partition, state)).applied_offset + 1)
            groups = self._groups(partition)
            request = ApplyRequest(
                epoch=self.epoch,
                first=offset,
                last=offset,
                frame_id=FrameId(1),
                source_partitions={TOPIC: 1},
                sources={(TOPIC, 0): SourcePosition(next_offset=1, read_up_to_ms=self.read_up_to_ms)},
                hashes=groups,
                hash_expiry_s=[0] * len(groups),
            )
            await store.apply(partition, request)

    def _groups(self, partition: int) -> list[list[str | bytes]]:
        prefix = epoch_prefix(tags(self.partitions)[partition], self.epoch)
        groups: list[list[str | bytes]] = []
        for (owner, kind, scope, period, at), row in self.cells.items():
            if owner == partition:
                counters = len(PRODUCTS[at % len(PRODUCTS)].counters)
                value = pack(np.array([row], dtype=np.int64), counters)[0]
                groups.append([counter_key(prefix, kind, scope, period), str(at), value])
        for (owner, kind, scope, period, at), bits in self.bitmaps.items():
            if owner == partition:
                value = bits.to_bytes((bits.bit_length() + 7) // 8, "little")
                groups.append([counter_key(prefix, kind, scope, period), str(at), value])
        for (owner, scope), index in self.indexes.items():
            if owner == partition:
                entries = [part for user, ordinal in index.items() for part in (user, str(ordinal))]
                groups.append([index_key(prefix, scope), COUNT_FIELD, str(len(index)), *entries])
        return groups
