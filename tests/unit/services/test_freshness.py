"""As-of: the smallest time of a topic's partitions, or unknown; never a guess."""

from hypothesis import given
from hypothesis import strategies as st

from services.counters import PartitionState, SourcePosition
from services.freshness import as_of_ms
from services.identifiers import Epoch, FrameId, FrameOffset

TOPIC = "usage.events"


def state_of(times: dict[int, int | None], partitions: int | None) -> PartitionState:
    """Return a state that heard of these partitions' times, in a topic that has so many."""
    sources = {(TOPIC, number): SourcePosition(next_offset=5, read_up_to_ms=time) for number, time in times.items()}
    return PartitionState(
        epoch=Epoch(1),
        applied_offset=FrameOffset(3),
        frame_id=FrameId(1),
        partitions=16,
        fingerprint="f",
        source_partitions={} if partitions is None else {TOPIC: partitions},
        sources={**sources, ("another", 0): SourcePosition(next_offset=1, read_up_to_ms=1)},
    )


@given(st.lists(st.integers(-(2**50), 2**50), min_size=1, max_size=8))
def test_it_is_the_smallest_time_of_all_partitions(times: list[int]) -> None:
    assert as_of_ms(state_of(dict(enumerate(times)), len(times)), TOPIC) == min(times)


def test_a_time_of_zero_is_a_time() -> None:
    assert as_of_ms(state_of({0: 0}, 1), TOPIC) == 0


def test_a_partition_without_a_state_has_none() -> None:
    assert as_of_ms(None, TOPIC) is None


def test_a_topic_that_was_never_heard_of_has_none() -> None:
    assert as_of_ms(state_of({0: 10}, None), TOPIC) is None
    assert as_of_ms(state_of({0: 10}, 0), TOPIC) is None


def test_it_is_unknown_while_one_partition_was_never_heard_of() -> None:
    assert as_of_ms(state_of({0: 10, 2: 30}, 3), TOPIC) is None


def test_it_is_unknown_while_one_partitions_time_is() -> None:
    assert as_of_ms(state_of({0: 10, 1: None}, 2), TOPIC) is None


def test_a_partition_beyond_those_the_topic_has_does_not_count() -> None:
    assert as_of_ms(state_of({0: 10, 1: 5}, 1), TOPIC) == 10
