import pytest

from services.caught_up import Wait, behind
from services.counters import PartitionState, SourcePosition
from services.identifiers import Epoch, FrameOffset
from services.lag import covered_up_to, frame_lags, source_lags

pytestmark = pytest.mark.unit

EVENTS = "usage.events"
DIRECTORY = "usage.directory"


def slot(applied: int = 9, **covered: int) -> PartitionState:
    """A slot that covers the records before an offset of each source partition, named `p0`, `p1`, …."""
    return PartitionState(
        epoch=Epoch(1),
        applied_offset=FrameOffset(applied),
        frame_id=None,
        partitions=2,
        fingerprint="f",
        source_partitions={EVENTS: 2},
        sources={
            (EVENTS, int(name[1:])): SourcePosition(next_offset=offset, read_up_to_ms=None)
            for name, offset in covered.items()
        },
    )


def test_a_source_is_covered_as_far_as_the_slot_that_is_furthest_behind() -> None:
    assert covered_up_to([slot(p0=10), slot(p0=7)], EVENTS, 0) == 7


@pytest.mark.parametrize("states", [[slot(p0=10), None], [slot(p0=10), slot(p1=3)], [], [None, None]])
def test_what_one_slot_has_not_heard_of_is_unknown_never_zero(states: list[PartitionState | None]) -> None:
    assert covered_up_to(states, EVENTS, 0) is None


def test_lag_is_the_end_less_what_is_applied() -> None:
    rows = source_lags(EVENTS, {0: 12, 1: 5}, [slot(p0=10, p1=5), slot(p0=7, p1=5)])
    assert [(row.partition, row.end, row.applied, row.lag) for row in rows] == [(0, 12, 7, 5), (1, 5, 5, 0)]


def test_lag_is_not_below_zero_where_records_were_applied_after_the_look_at_the_end() -> None:
    (row, _) = source_lags(EVENTS, {0: 5, 1: 0}, [slot(p0=8)])
    assert (row.applied, row.lag) == (8, 0)


def test_unknown_ends_give_unknown_lag_for_the_partitions_that_the_slots_know() -> None:
    rows = source_lags(EVENTS, None, [slot(p0=8, p1=2)])
    assert [(row.end, row.applied, row.lag) for row in rows] == [(None, 8, None), (None, 2, None)]


def test_frames_lag_by_the_offset_after_the_applied_one() -> None:
    rows = frame_lags("usage.frames", {0: 12, 1: 3}, [slot(applied=9), None])
    assert [(row.end, row.applied, row.lag) for row in rows] == [(12, 10, 2), (3, None, None)]


def test_caught_up_means_every_slot_covers_the_ends() -> None:
    ends = {(EVENTS, 0): 10, (EVENTS, 1): 4}
    assert behind(ends, [slot(p0=10, p1=4), slot(p0=11, p1=9)]) == ()
    (row,) = behind(ends, [slot(p0=10, p1=4), slot(p0=9, p1=9)])
    assert (row.topic, row.partition, row.end, row.applied, row.missing) == (EVENTS, 0, 10, 9, 1)


def test_a_source_of_another_topic_is_not_covered_by_the_same_partition_of_this_one() -> None:
    (row,) = behind({(EVENTS, 0): 3, (DIRECTORY, 0): 3}, [slot(p0=10)])
    assert (row.topic, row.applied, row.missing) == (DIRECTORY, None, None)


def test_an_empty_partition_holds_nobody_up_and_an_unheard_one_does() -> None:
    assert behind({(EVENTS, 0): 0}, [None]) == ()
    (row,) = behind({(EVENTS, 0): 3}, [None])
    assert (row.applied, row.missing) == (None, None)


def test_a_wait_that_does_not_know_the_ends_is_not_caught_up() -> None:
    assert not Wait(ends=None).caught_up
    assert Wait(ends={}).caught_up
    ends = {(EVENTS, 0): 10, (DIRECTORY, 0): 4}
    wait = Wait(ends=ends, behind=behind(ends, [slot(p0=6)]))
    assert (wait.total, wait.done) == (14, 6)
