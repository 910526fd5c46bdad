"""Reads usage from the counter store: a scope's blocks in one step with the state that says how fresh they are."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from query_api.cells import WantedActives, WantedCells
from query_api.dated import Dated, oldest
from query_api.finished_blocks import FinishedBlocks, Revision, Span, make_blocks, revision_of, spans_of
from query_api.ranges import AskedRange, Kept, kept_at, plan_blocks
from query_api.slots import SlotReader
from query_api.utilization import asked_months, block_of_month
from services.counters import PartitionState
from services.freshness import as_of_ms
from services.identifiers import OrganizationId, PartitionId
from services.keyspace import Scope, partition_of
from services.settings import EventSettings, TopicSettings

_GUESSES: Final = 2
"""Readings that leave out what is remembered; a slot that changes below both of them is read whole."""

_MONTHS_PER_READ: Final = 12
"""Bitmaps of a year in one script call: 372 days of four products."""


class UnknownScope(LookupError):
    """There is no such organization, team or user: nothing was ever counted for it, or the directory lacks it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScopeUsage:
    """Usage of one scope: its blocks as a JSON array; `as_of_ms` is None while it is unknown."""

    blocks: bytes
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
        self._finished = FinishedBlocks()
        self._late_ms = round(events.lateness_allowance * 1000)

    async def usage(self, scope: Scope, asked: AskedRange) -> ScopeUsage:
        """Return the usage of a scope.

        Raises:
            BadRange: the range is too long or begins before what is kept; nothing was read.
            UnknownScope: nothing was ever counted for it.
            StoreUnavailable, StoreRefused: as `CounterStore.read`.
        """
        now_ms = self._now_ms()
        planned = plan_blocks(asked, self._kept(now_ms), now_ms)
        partition = partition_of(scope.organization, self._slots.partitions)
        spans = spans_of(planned)
        for _ in range(_GUESSES):
            if usage := await self._usage_at(self._slots.last_state(partition), partition, scope, spans):
                return usage
        usage = await self._usage_at(None, partition, scope, spans)
        assert usage is not None
        return usage

    async def _usage_at(
        self, guess: PartitionState | None, partition: PartitionId, scope: Scope, spans: Sequence[Span]
    ) -> ScopeUsage | None:
        """Return the usage, None when blocks that were left out of the reading are not as the guess says."""
        guessed = self._revisions(guess, spans)
        found = [self._finished.find(scope, span, at) for span, at in zip(spans, guessed, strict=True)]
        missing = [span for span, json in zip(spans, found, strict=True) if json is None]
        wanted = WantedCells(scope, [block for span in missing for block in span.blocks])
        result = await self._slots.read(partition, wanted.request)
        raw = None if result.state is None else wanted.blocks(result)
        if raw is None:
            raise UnknownScope
        revisions = self._revisions(result.state, spans)
        if any(json and now != then for json, now, then in zip(found, revisions, guessed, strict=True)):
            return None
        made = make_blocks(missing, raw, self._complete_until_ms(result.state))
        for at, json in enumerate(found):
            if json is None:
                found[at] = self._finished.remember(scope, spans[at], revisions[at], next(made))
        blocks = b"[%b]" % b",".join(filter(None, found))
        return ScopeUsage(blocks=blocks, as_of_ms=as_of_ms(result.state, self._topics.events))

    def _revisions(self, state: PartitionState | None, spans: Sequence[Span]) -> list[Revision | None]:
        until_ms = self._complete_until_ms(state)
        return [revision_of(state, span, until_ms) for span in spans]

    def _complete_until_ms(self, state: PartitionState | None) -> int | None:
        """Return the instant up to which blocks are complete: asOf less the time that events may be late."""
        as_of = as_of_ms(state, self._topics.events)
        return None if as_of is None else as_of - self._late_ms

    def months(self, start_date: str | None) -> range:
        """Return the months that a start date asks for, as `query_api.utilization.asked_months`."""
        now_ms = self._now_ms()
        return asked_months(start_date, self._kept(now_ms), now_ms)

    async def active_users(self, organization: OrganizationId, months: Sequence[int]) -> Dated[Sequence[int]]:
        """Return how many distinct users were active in each month; 0 where nothing was ever counted.

        Raises:
            StoreUnavailable, StoreRefused: as `CounterStore.read`.
        """
        partition = partition_of(organization, self._slots.partitions)
        found: list[int] = []
        as_of: list[int | None] = []
        for start in range(0, len(months), _MONTHS_PER_READ):
            blocks = [block_of_month(month) for month in months[start : start + _MONTHS_PER_READ]]
            wanted = WantedActives(organization, blocks)
            result = await self._slots.read(partition, wanted.request)
            found += wanted.active_in_any(result)
            as_of.append(as_of_ms(result.state, self._topics.events))
        return Dated(found, oldest(*as_of))

    def _kept(self, now_ms: int) -> Kept:
        return kept_at(now_ms, keep_hours_s=self._events.keep_hours, keep_days_s=self._events.keep_days)
