"""Reads the blocks of one scope from the counter store, in one step with the state that says how fresh they are."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from query_api.cells import block_cells, is_known, read_request
from query_api.ranges import AskedRange, PlannedBlock, kept_at, plan_blocks
from query_api.schemas.usage import UsageBlock
from query_api.usage import usage_block
from services.clock import monotonic_s
from services.counters import CounterStore, ReadResult, StoreRefused, StoreUnavailable
from services.freshness import as_of_ms
from services.identifiers import Epoch, PartitionId
from services.keyspace import Scope, epoch_prefix, partition_of, tags
from services.settings import EventSettings, TopicSettings
from services.telemetry import Telemetry

_EPOCH_CHANGES_MAX = 3
"""An epoch changes when a rebuild swaps; more than a few within one request means that something is badly wrong."""


class UnknownScope(LookupError):
    """No event was ever counted for the organization, team or user."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScopeUsage:
    """Usage of one scope; `as_of_ms` is None while it is unknown."""

    blocks: Sequence[UsageBlock]
    as_of_ms: int | None


class UsageReader:
    """Answers usage requests from a counter store."""

    def __init__(
        self,
        store: CounterStore,
        *,
        topics: TopicSettings,
        events: EventSettings,
        telemetry: Telemetry,
        now_ms: Callable[[], int],
    ) -> None:
        self._store = store
        self._topics = topics
        self._events = events
        self._telemetry = telemetry
        self._now_ms = now_ms
        self._tags = tags(topics.frames_partitions)
        self._epochs: dict[PartitionId, Epoch] = {}

    async def usage(self, scope: Scope, asked: AskedRange) -> ScopeUsage:
        """Return the usage of a scope.

        Raises:
            BadRange: the range is too long or begins before what is kept; nothing was read.
            UnknownScope: nothing was ever counted for it.
            StoreUnavailable, StoreRefused: as `CounterStore.read`.
        """
        now_ms = self._now_ms()
        kept = kept_at(now_ms, keep_hours_s=self._events.keep_hours, keep_days_s=self._events.keep_days)
        planned = plan_blocks(asked, kept, now_ms)
        result = await self._read(scope, planned)
        if not is_known(result):
            raise UnknownScope
        cells = block_cells(result, scope, planned)
        return ScopeUsage(
            blocks=[usage_block(block, each) for block, each in zip(planned, cells, strict=True)],
            as_of_ms=as_of_ms(result.state, self._topics.events),
        )

    async def _read(self, scope: Scope, planned: Sequence[PlannedBlock]) -> ReadResult:
        """Read under the partition's epoch: the one seen last, and again when the state names another."""
        partition = partition_of(scope.organization, self._topics.frames_partitions)
        for _ in range(_EPOCH_CHANGES_MAX):
            epoch = self._epochs.get(partition, Epoch(1))
            prefix = epoch_prefix(self._tags[partition], epoch)
            started_s = monotonic_s()
            result = await self._store.read(partition, read_request(prefix, scope, planned))
            self._telemetry.observe("tidemark_read_seconds", monotonic_s() - started_s)
            if result.state is None:
                raise UnknownScope
            if result.state.partitions != self._topics.frames_partitions:
                raise StoreRefused(other_partitions(result.state.partitions, self._topics.frames_partitions))
            if result.state.epoch == epoch:
                return result
            self._epochs[partition] = result.state.epoch
        raise StoreUnavailable("the epoch of the counters keeps changing")


def other_partitions(found: int, configured: int) -> str:
    """Return the sentence for counters that another number of partitions wrote."""
    return (
        f"the counters were written with {found} partitions of frames, and topics.frames_partitions says"
        f" {configured}: set it to {found}"
    )
