"""A run: positions and counts of sources only move on, whichever worker's frame comes last."""

from collections.abc import Mapping
from dataclasses import fields
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.run import join
from services.counters import SourcePosition
from services.frames import (
    EVENT_COLUMNS,
    REJECTED_COLUMNS,
    VERSION,
    Frame,
    FrameHeader,
    FrameSource,
    ReceivedRun,
    no_rows,
)
from services.identifiers import FrameOffset
from services.windows import DAY_MS, month_of_day, to_ms
from tests.support.event_lines import event_line
from tests.support.log_of_frames import FakeRecord, FrameMaker, decoded

TOPIC = "usage.events"
SOURCE = (TOPIC, 0)


def frame_of(
    partitions: int, next_offset: int = 0, read_up_to_ms: int | None = None, received: tuple[ReceivedRun, ...] = ()
) -> Frame:
    source = FrameSource(
        topic=TOPIC,
        partition=0,
        first_offset=0,
        next_offset=next_offset,
        received=sum(run.count for run in received),
        rejected=0,
        read_up_to_ms=read_up_to_ms,
    )
    header = FrameHeader(
        version=VERSION,
        frame_id=1,
        fingerprint="f",
        source_partitions={TOPIC: partitions},
        sources=(source,),
        received=received,
    )
    return Frame(header=header, strings=(), events=no_rows(EVENT_COLUMNS), rejected=no_rows(REJECTED_COLUMNS))


@pytest.mark.parametrize(
    ("counts", "known", "grown"),
    [
        ([5, 4], {}, {TOPIC: 5}),
        ([4], {TOPIC: 5}, {}),
        ([4, 5, 4], {TOPIC: 4}, {TOPIC: 5}),
        ([0], {TOPIC: 4}, {}),
        ([4], {TOPIC: 4}, {}),
    ],
)
def test_a_worker_that_has_not_heard_of_a_new_partition_takes_none_away(
    counts: list[int], known: Mapping[str, int], grown: Mapping[str, int]
) -> None:
    run = join(FrameOffset(0), [frame_of(count) for count in counts], {}, known)
    assert run.source_partitions == grown


@given(st.lists(st.tuples(st.integers(0, 99), st.none() | st.integers(0, 99)), min_size=1, max_size=6))
def test_a_position_never_goes_back(claims: list[tuple[int, int | None]]) -> None:
    before = SourcePosition(next_offset=50, read_up_to_ms=50)
    run = join(FrameOffset(0), [frame_of(1, *claim) for claim in claims], {SOURCE: before}, {})
    after = run.positions.get(SOURCE, before)
    assert after.next_offset == max(50, *(offset for offset, _ in claims))
    assert after.read_up_to_ms == max([50, *(time for _, time in claims if time is not None)])


def test_records_received_again_are_counted_once() -> None:
    frames = [
        frame_of(1, 10, received=(ReceivedRun(0, 0, 10, 7),)),
        frame_of(1, 15, received=(ReceivedRun(0, 5, 10, 7),)),
        frame_of(1, 12, received=(ReceivedRun(0, 5, 7, 7),)),
    ]
    run = join(FrameOffset(0), frames, {}, {})
    assert sum(row.received for row in run.ledger) == 15


def test_each_month_names_the_last_frame_with_an_event_of_it() -> None:
    days = ["2026-01-31", "2026-03-01", "2025-12-31", "2026-01-01", "2026-01-02"]
    records = [
        FakeRecord(
            offset=at, timestamp=to_ms(datetime(2026, 3, 2, tzinfo=UTC)), value=event_line(str(at), at_noon(day))
        )
        for at, day in enumerate(days)
    ]
    [frames] = FrameMaker(1, frame_events=4).poll({0: records})
    first, second = decoded(frames)
    december, january, march = (month_of_day(at_noon(day) // DAY_MS) for day in (days[2], days[0], days[1]))
    run = join(FrameOffset(0), [first], {}, {})
    assert run.months == {december: first.frame_id, january: first.frame_id, march: first.frame_id}
    run = join(FrameOffset(0), [first, second, frame_of(1)], {}, {})
    assert run.months == {december: first.frame_id, january: second.frame_id, march: first.frame_id}


def at_noon(day: str) -> int:
    return to_ms(datetime.fromisoformat(f"{day}T12:00:00+00:00"))


@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 9), st.none() | st.integers(0, 9)), min_size=1, max_size=4),
    st.dictionaries(st.just(SOURCE), st.just(SourcePosition(next_offset=5, read_up_to_ms=5))),
)
def test_frames_without_records_are_joined_like_any_others(
    given_frames: list[tuple[int, int, int | None]], positions: Mapping[tuple[str, int], SourcePosition]
) -> None:
    frames = [frame_of(*each) for each in given_frames]
    joined = join(FrameOffset(3), frames, positions, {TOPIC: 2})
    # Received before, so that nothing comes of it: but with it a frame is none of those that only move on.
    again = ReceivedRun(source=0, first_offset=0, count=0, hour=1)
    likewise = join(
        FrameOffset(3), [frame_of(*each, received=(again,)) for each in given_frames], positions, {TOPIC: 2}
    )
    assert joined.only_moves_on
    assert likewise.only_moves_on
    for each in fields(joined):
        one, other = getattr(joined, each.name), getattr(likewise, each.name)
        if isinstance(one, np.ndarray):
            assert (one.shape, one.dtype) == (other.shape, other.dtype)
        elif each.name not in {"frames", "strings", "sources", "ledger", "directory", "months"}:
            assert one == other
