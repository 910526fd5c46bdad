"""A run that was sent to the store and is not acknowledged yet, while the next one is folded on what it will leave."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain

from aggregator.folding import Folded
from aggregator.frame_queue import Waiting
from services.counters import ApplyOutcome, ApplyRequest, PartitionState, ReadRequest


@dataclass(frozen=True, kw_only=True)
class InFlight:
    """A run on its way.

    Attributes:
        frames: of the run.
        request: what was sent.
        folded: None for a run that holds nothing but positions.
        state: of the partition once it is applied.
        reply: what becomes of it.
        sent_ms: when it was sent.
    """

    frames: Sequence[Waiting]
    request: ApplyRequest
    folded: Folded | None
    state: PartitionState
    reply: asyncio.Task[ApplyOutcome]
    sent_ms: int

    def leaves_alone(self, request: ReadRequest) -> bool:
        """Return whether a read finds the same before and after this run: it asks for other hashes only."""
        return not (request.fields or request.members) and self._written.isdisjoint(request.whole)

    @cached_property
    def _written(self) -> frozenset[str | bytes]:
        return frozenset(group[0] for group in chain(self.request.hashes, self.request.living_hashes))
