import itertools

import pytest

from tests.faults.load import planned_stream, seeded_load
from tests.support.oracle import read_event

pytestmark = pytest.mark.unit

END_MS = 1_767_225_600_000


def test_the_stream_is_the_list_and_the_same_each_time() -> None:
    whole = seeded_load(5, 3_000, 4, end_ms=END_MS)
    assert list(planned_stream(5, 3_000, 4, end_ms=END_MS)) == whole
    assert list(itertools.islice(planned_stream(5, 3_000, 4, end_ms=END_MS), 100)) == whole[:100]
    assert seeded_load(6, 3_000, 4, end_ms=END_MS) != whole


def test_copies_at_another_time_lie_behind_the_first_of_their_id() -> None:
    first: dict[tuple[str, str, str], tuple[int, int]] = {}
    moved = 0
    for planned in seeded_load(7, 20_000, 4, end_ms=END_MS):
        event = read_event(planned.value)
        if event is not None:
            partition, time_ms = first.setdefault(event.identity, (planned.partition, event.time_ms))
            if time_ms != event.time_ms:
                moved += 1
                assert planned.partition == partition
    assert moved > 100
