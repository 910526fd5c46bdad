"""Reads the blocks of one scope from the counter store, in one step with the state that says how fresh they are."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from query_api.cells import block_cells, is_known, read_request
from query_api.ranges import AskedRange, kept_at, plan_blocks
from query_api.schemas.usage import UsageBlock
from query_api.slots import SlotReader
from query_api.usage import usage_block
from services.freshness import as_of_ms
from services.keyspace import Scope, partition_of
from services.settings import EventSettings, TopicSettings


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
        self, slots: SlotReader, *, topics: TopicSettings, events: EventSettings, now_ms: Callable[[], int]
    ) -> None:
        self._slots = slots
        self._topics = topics
        self._events = events
        self._now_ms = now_ms

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
        partition = partition_of(scope.organization, self._slots.partitions)
        result = await self._slots.read(partition, lambda prefix: read_request(prefix, scope, planned))
        if result.state is None or not is_known(result):
            raise UnknownScope
        cells = block_cells(result, scope, planned)
        return ScopeUsage(
            blocks=[usage_block(block, each) for block, each in zip(planned, cells, strict=True)],
            as_of_ms=as_of_ms(result.state, self._topics.events),
        )
