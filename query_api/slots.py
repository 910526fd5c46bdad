"""Reads one slot of the counter store under the epoch that is live there."""

from collections.abc import Callable
from typing import Final

from services.clock import monotonic_s
from services.counters import CounterStore, PartitionState, ReadRequest, ReadResult, StoreRefused, StoreUnavailable
from services.identifiers import Epoch, PartitionId
from services.keyspace import epoch_prefix, tags
from services.telemetry import Telemetry

_EPOCH_CHANGES_MAX: Final = 3
"""An epoch changes when a rebuild swaps; more than a few within one request means that something is badly wrong."""


class SlotReader:
    """Reads slots; remembers each one's state, as it was when it was last read.

    Args:
        partitions: P.
    """

    def __init__(self, store: CounterStore, partitions: int, telemetry: Telemetry) -> None:
        self._store = store
        self.partitions = partitions
        self._telemetry = telemetry
        self._tags = tags(partitions)
        self._states: dict[PartitionId, PartitionState] = {}

    def last_state(self, partition: PartitionId) -> PartitionState | None:
        """Return the slot's state when it was last read; it may have moved on. None before the first read."""
        return self._states.get(partition)

    async def read(self, partition: PartitionId, request: Callable[[str], ReadRequest]) -> ReadResult:
        """Read in one step; the state of the answer is None when the slot holds nothing yet.

        Args:
            request: makes the request, given the prefix of the epoch's keys.

        Raises:
            StoreUnavailable, StoreRefused: as `CounterStore.read`.
        """
        for _ in range(_EPOCH_CHANGES_MAX):
            last = self._states.get(partition)
            epoch = Epoch(1) if last is None else last.epoch
            started_s = monotonic_s()
            result = await self._store.read(partition, request(epoch_prefix(self._tags[partition], epoch)))
            self._telemetry.observe("tidemark_read_seconds", monotonic_s() - started_s)
            if result.state is None:
                return result
            if result.state.partitions != self.partitions:
                raise StoreRefused(other_partitions(result.state.partitions, self.partitions))
            self._states[partition] = result.state
            if result.state.epoch == epoch:
                return result
        raise StoreUnavailable("the epoch of the counters keeps changing")


def other_partitions(found: int, configured: int) -> str:
    """Return the sentence for counters that another number of partitions wrote."""
    return (
        f"the counters were written with {found} partitions of frames, and topics.frames_partitions says"
        f" {configured}: set it to {found}"
    )
