"""What is remembered of usage never differs from what a reader that remembers nothing answers."""

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aggregator.known import Knowledge
from query_api import finished_blocks
from query_api.finished_blocks import FinishedBlocks, Revision, Span, revision_of, spans_of
from query_api.ranges import GRANULARITY_OF, AskedRange, GranularityWord, PlannedBlock
from query_api.reading import ScopeUsage, UnknownScope, UsageReader
from query_api.slots import SlotReader
from services.counters import ReadRequest, ReadResult
from services.identifiers import Epoch, FrameId, OrganizationId, PartitionId, TeamId, UserId
from services.keyspace import Scope
from services.memory_counters import MemoryCounterStore
from services.settings import EventSettings, TopicSettings
from services.telemetry import Telemetry
from services.windows import DAY_MS
from tests.support.event_lines import event_line
from tests.support.folded_log import begun, fold_run
from tests.support.log_of_frames import FakeRecord, FrameMaker

JANUARY_MS = 1_767_225_600_000
"""2026-01-01T00:00:00Z"""

ACME = Scope(organization=OrganizationId("acme"))
SCOPES = [
    ACME,
    Scope(organization=OrganizationId("acme"), team=TeamId("core")),
    Scope(organization=OrganizationId("acme"), user=UserId("ann")),
    Scope(organization=OrganizationId("umbrella")),
]
FOR_EVER = EventSettings(max_age=None, keep_hours=None, keep_days=None)


def reader_of(store: MemoryCounterStore) -> UsageReader:
    slots = SlotReader(store, len(store.partitions), Telemetry("query_api"))
    topics = TopicSettings(events="events")
    return UsageReader(slots, topics=topics, events=FOR_EVER, now_ms=lambda: JANUARY_MS + 100 * DAY_MS)


async def usage_of(reader: UsageReader, scope: Scope, asked: AskedRange) -> ScopeUsage | None:
    try:
        return await reader.usage(scope, asked)
    except UnknownScope:
        return None


def frames_of(days: Sequence[tuple[int, str, str]], frame_events: int, days_a_poll: int | None = None) -> list[bytes]:
    """Return the frames of one partition that hold an event a (day, organization, user).

    Args:
        days_a_poll: how much later each poll of five events says that the source is read up to; None: it never says.
    """
    records = [
        FakeRecord(
            offset=at,
            timestamp=JANUARY_MS + 90 * DAY_MS,
            value=event_line(str(at), JANUARY_MS + day * DAY_MS + at * 1000, organizationid=organization, subject=user),
        )
        for at, (day, organization, user) in enumerate(days)
    ]
    maker, frames = FrameMaker(1, frame_events=frame_events), []
    for start in range(0, len(records), 5):
        read_up_to_ms = None if days_a_poll is None else JANUARY_MS + days_a_poll * start * DAY_MS // 5
        frames += maker.poll({0: records[start : start + 5]}, read_up_to_ms=read_up_to_ms)[0]
    return frames


def asked_range(first_day: int, days: int, word: GranularityWord) -> AskedRange:
    return AskedRange(
        from_ms=JANUARY_MS + first_day * DAY_MS,
        to_ms=JANUARY_MS + (first_day + days) * DAY_MS,
        granularity=GRANULARITY_OF[word],
    )


EVENTS = st.tuples(st.integers(0, 89), st.sampled_from(["acme", "umbrella"]), st.sampled_from(["ann", "bob"]))
ASKED = st.builds(
    asked_range, st.integers(0, 30), st.integers(1, 60), st.sampled_from(["daily", "weekly", "monthly", "all"])
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("apply"), st.integers(1, 4)),
        st.tuples(st.just("ask"), st.sampled_from(SCOPES), ASKED),
        st.tuples(st.just("keep a copy")),
        st.tuples(st.just("restore the copy")),
        st.tuples(st.just("begin anew"), st.integers(1, 2)),
    ),
    min_size=4,
    max_size=20,
)


@settings(max_examples=60)
@given(st.lists(EVENTS, min_size=5, max_size=30), STEPS, st.integers(1, 5), st.sampled_from([None, 0, 9, 30]))
async def test_what_is_remembered_is_what_would_be_read(
    days: list[tuple[int, str, str]], steps: list[tuple[Any, ...]], frame_events: int, days_a_poll: int | None
) -> None:
    frames = frames_of(days, frame_events, days_a_poll)
    store = await begun(1)
    reader, copied = reader_of(store), copy.deepcopy(store.partitions)
    for step in steps:
        match step:
            case ("apply", size):
                state = await store.state(PartitionId(0))
                assert state is not None
                if taken := frames[state.applied_offset + 1 :][:size]:
                    await fold_run(store, PartitionId(0), taken, Knowledge(1_000))
            case ("ask", scope, asked):
                # Twice: the first may forget what the second then remembers.
                for _ in range(2):
                    assert await usage_of(reader, scope, asked) == await usage_of(reader_of(store), scope, asked)
            case ("keep a copy",):
                copied = copy.deepcopy(store.partitions)
            case ("restore the copy",):
                store.partitions = copy.deepcopy(copied)
            case _:
                store.partitions = (await begun(1, Epoch(step[1]))).partitions


class CountingStore(MemoryCounterStore):
    """Counts the hashes that are read, and does something before each reading."""

    def __init__(self) -> None:
        super().__init__(1)
        self.read_keys: list[int] = []
        self.waiting: list[bytes] = []

    async def read(self, partition: PartitionId, request: ReadRequest) -> ReadResult:
        if request.fields:
            self.read_keys.append(len(request.fields))
            if self.waiting:
                waiting, self.waiting = self.waiting, []
                await fold_run(self, partition, waiting[:1], Knowledge(1_000))
                self.waiting = waiting[1:]
        return await super().read(partition, request)


async def store_of(frames: Sequence[bytes]) -> CountingStore:
    store = CountingStore()
    store.partitions = (await begun(1)).partitions
    await fold_run(store, PartitionId(0), frames, Knowledge(1_000))
    store.read_keys.clear()
    return store


THREE_MONTHS = asked_range(0, 90, "daily")


async def test_a_month_is_read_once_and_again_when_an_event_of_it_comes() -> None:
    *first, last = frames_of([(1, "acme", "ann"), (40, "acme", "bob"), (70, "acme", "ann"), (41, "acme", "ann")], 1)
    store = await store_of(first)
    reader = reader_of(store)
    for _ in range(3):
        await reader.usage(ACME, THREE_MONTHS)
    # The scope, then counters and bitmaps of three months; afterwards the scope alone.
    assert store.read_keys == [7, 1, 1]
    await fold_run(store, PartitionId(0), [last], Knowledge(1_000))
    store.read_keys.clear()
    assert await reader.usage(ACME, THREE_MONTHS) == await reader_of(store).usage(ACME, THREE_MONTHS)
    assert store.read_keys == [1, 3, 7]


async def test_a_slot_that_changes_below_every_reading_is_read_whole() -> None:
    frames = frames_of([(1, "acme", "ann")] * 5, 1)
    store = await store_of(frames[:1])
    reader = reader_of(store)
    await reader.usage(ACME, THREE_MONTHS)
    store.waiting = frames[1:]
    usage = await reader.usage(ACME, THREE_MONTHS)
    store.waiting = []
    assert msgspec.json.decode(usage.blocks)[1]["chat"]["interactions"] >= 3
    assert usage == await reader_of(store).usage(ACME, THREE_MONTHS)


async def test_a_month_without_an_event_is_not_remembered() -> None:
    store = await store_of(frames_of([(1, "acme", "ann")], 1))
    reader = reader_of(store)
    await reader.usage(ACME, asked_range(0, 50, "daily"))
    await reader.usage(ACME, asked_range(0, 50, "daily"))
    assert store.read_keys == [5, 3]


SPAN = Span(range(1, 2), (PlannedBlock(0, 24),))


def test_what_was_not_asked_for_longest_goes_when_there_is_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finished_blocks, "BYTES_REMEMBERED", 20)
    finished, at = FinishedBlocks(), Revision(Epoch(1), (FrameId(1),), 1)
    for scope in SCOPES[:2]:
        finished.remember(scope, SPAN, at, b"x" * 10)
    assert finished.find(SCOPES[0], SPAN, at)
    finished.remember(SCOPES[2], SPAN, at, b"y" * 10)
    assert [finished.find(scope, SPAN, at) for scope in SCOPES[:3]] == [b"x" * 10, None, b"y" * 10]
    # What takes the place of another weighs once.
    for _ in range(3):
        finished.remember(SCOPES[2], SPAN, at, b"z" * 10)
    assert finished.find(SCOPES[0], SPAN, at)


def test_blocks_are_parted_where_their_months_change() -> None:
    days = tuple(PlannedBlock(24 * day, 24 * day + 24) for day in range(29, 33))
    week = (PlannedBlock(24 * 29, 24 * 36),)
    assert [(span.months, len(span.blocks)) for span in spans_of(days)] == [(range(1), 2), (range(1, 2), 2)]
    assert [span.months for span in spans_of(week)] == [range(2)]
    assert spans_of(()) == ()


async def test_another_epoch_is_another_revision() -> None:
    states = [await (await begun(1, Epoch(epoch))).state(PartitionId(0)) for epoch in (1, 2)]
    first, second = (replace(state, months={1: FrameId(7)}) for state in states if state is not None)
    assert revision_of(None, SPAN, 0) is None
    assert revision_of(first, SPAN, DAY_MS) == Revision(Epoch(1), (FrameId(7),), 1)
    assert revision_of(second, SPAN, None) == Revision(Epoch(2), (FrameId(7),), None)
