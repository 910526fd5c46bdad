from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.group_members import NOBODY
from services.lag import Lag
from services.lag_states import LagPoint, LagState, judge

pytestmark = pytest.mark.unit

BEHIND_AFTER_S = 10.0


def point(
    at_s: float, end: int | None, applied: int | None, *, age_s: float | None = 1.0, owner: str | None = "somebody"
) -> LagPoint:
    lag = None if end is None or applied is None else max(0, end - applied)
    row = Lag(topic="usage.events", partition=0, role="role", end=end, applied=applied, lag=lag)
    return LagPoint(at_s=at_s, row=row, age_s=0.0 if lag == 0 else age_s, owner=owner)


def state(*points: LagPoint) -> LagState:
    return judge(points, BEHIND_AFTER_S).state


def test_nothing_waiting_is_ok_at_the_first_look() -> None:
    assert state(point(0, 5, 5)) is LagState.OK
    assert state(point(0, 5, 5, owner=NOBODY)) is LagState.OK


def test_one_look_cannot_tell_standing_from_moving() -> None:
    assert state(point(0, 9, 5)) is LagState.UNKNOWN
    assert state(point(0, 9, 5, age_s=60)) is LagState.UNKNOWN


def test_what_moves_and_is_young_is_ok_and_what_is_old_is_behind() -> None:
    assert state(point(0, 9, 5), point(10, 19, 15)) is LagState.OK
    assert state(point(0, 9, 5), point(10, 19, 15, age_s=10.1)) is LagState.BEHIND


def test_what_has_not_moved_while_records_waited_is_stalled_after_five_seconds() -> None:
    assert state(point(0, 9, 5), point(4.9, 19, 5)) is LagState.OK
    assert state(point(0, 9, 5), point(5, 19, 5)) is LagState.STALLED
    assert state(point(0, 9, 5, owner=None), point(5, 19, 5, owner=None)) is LagState.STALLED


def test_a_record_that_came_after_a_quiet_time_does_not_make_a_partition_stalled() -> None:
    assert state(point(0, 5, 5), point(50, 5, 5), point(60, 6, 5)) is LagState.OK


def test_what_stood_still_and_moves_again_is_no_longer_stalled() -> None:
    assert state(point(0, 9, 5), point(10, 9, 5), point(20, 19, 6, age_s=30)) is LagState.BEHIND


def test_old_records_in_looks_too_close_to_each_other_are_unknown() -> None:
    assert state(point(0, 9, 5, age_s=60), point(1, 9, 5, age_s=61)) is LagState.UNKNOWN


def test_records_that_nobody_reads_are_stopped_at_the_first_look() -> None:
    assert state(point(0, 9, 5, owner=NOBODY)) is LagState.STOPPED


def test_applied_that_went_back_is_rewound_whatever_else_is_so() -> None:
    assert state(point(0, 9, 9), point(10, 9, 4), point(20, 9, 9)) is LagState.REWOUND
    assert state(point(0, 9, 9), point(10, None, None), point(20, None, 4)) is LagState.REWOUND


@pytest.mark.parametrize("last", [point(10, None, 5), point(10, 9, None), point(10, 9, 6, age_s=None)])
def test_what_cannot_be_read_now_is_unknown(last: LagPoint) -> None:
    assert state(point(0, 9, 5), last) is LagState.UNKNOWN


def test_a_look_that_knew_nothing_in_between_changes_nothing() -> None:
    assert state(point(0, 9, 5), point(5, None, 5), point(10, 9, 5)) is LagState.STALLED


def test_rates_and_the_time_to_drain_are_those_of_the_whole_window() -> None:
    judged = judge([point(0, 100, 0), point(5, 100, 90), point(10, 200, 150)], BEHIND_AFTER_S)
    assert (judged.rate_in, judged.rate_out, judged.drain_s) == (10, 15, 10)


def test_rates_of_one_look_and_of_a_log_that_went_back_are_unknown() -> None:
    for points in ([point(0, 9, 5)], [point(0, 9, 8), point(10, 8, 7)]):
        judged = judge(points, BEHIND_AFTER_S)
        assert (judged.rate_in, judged.rate_out, judged.drain_s) == (None, None, None)


def test_the_time_to_drain_is_unknown_while_more_comes_than_is_applied() -> None:
    assert judge([point(0, 9, 5), point(10, 30, 25)], BEHIND_AFTER_S).drain_s is None
    assert judge([point(0, 9, 5), point(10, 30, 30)], BEHIND_AFTER_S).drain_s == 0


number = st.none() | st.integers(0, 20)
looks = st.lists(
    st.tuples(st.integers(1, 20), number, number, st.sampled_from([None, NOBODY, "a"]), st.none() | st.floats(0, 50)),
    min_size=1,
    max_size=8,
)


@given(looks)
def test_unknown_is_never_taken_for_a_number_nor_a_number_for_unknown(
    drawn: Sequence[tuple[int, int | None, int | None, str | None, float | None]],
) -> None:
    at_s, points = 0, []
    for step, end, applied, owner, age_s in drawn:
        at_s += step
        points.append(point(at_s, end, applied, owner=owner, age_s=age_s))
    judged, last = judge(points, BEHIND_AFTER_S), points[-1].row
    if last.applied is None or (last.end is None and judged.state is not LagState.REWOUND):
        assert judged.state is LagState.UNKNOWN
        assert judged.drain_s is None
    if judged.state in {LagState.STOPPED, LagState.STALLED, LagState.BEHIND}:
        assert last.lag is not None
        assert last.lag > 0
    if judged.state is LagState.STALLED:
        assert len({each.row.applied for each in points if each.at_s > at_s - 5 and each.row.lag is not None}) == 1
    assert (judged.state is LagState.REWOUND) == (
        last.applied is not None and _goes_back([each.row.applied for each in points])
    )


def _goes_back(values: Sequence[int | None]) -> bool:
    known = [value for value in values if value is not None]
    return known != sorted(known)
