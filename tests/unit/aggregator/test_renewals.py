"""A set's end is moved on with the first write of a while, and with every write by a worker that does not know."""

import numpy as np

from aggregator.renewals import Renewals, pause_s

NOW_S = 1_800_000_000
UNTIL_S = NOW_S + 30
PLACES = np.array([0, 3, 5])


def test_a_set_is_due_once_a_pause() -> None:
    renewals = Renewals()
    assert renewals.due("x:1/0", PLACES, NOW_S).all()
    renewals.note("x:1/0", 16, PLACES[:2], UNTIL_S)
    assert renewals.due("x:1/0", PLACES, UNTIL_S - 1).tolist() == [False, False, True]
    assert renewals.due("x:1/0", PLACES, UNTIL_S).all()
    assert renewals.due("x:1/1", PLACES, NOW_S).all()


def test_what_is_remembered_is_bounded() -> None:
    renewals = Renewals(64)
    renewals.note("x:1/0", 32, PLACES, UNTIL_S)
    assert renewals.due("x:1/0", PLACES, NOW_S).all()
    for number in range(5):
        renewals.note(f"x:2/{number}", 16, PLACES, UNTIL_S)
    assert renewals.due("x:2/0", PLACES, NOW_S).all()
    assert not renewals.due("x:2/4", PLACES, NOW_S).any()


def test_a_partition_is_forgotten_alone() -> None:
    renewals = Renewals()
    for key in ("{0}:x:1/0", "{1}:x:1/0"):
        renewals.note(key, 16, PLACES, UNTIL_S)
    renewals.forget("{0}:")
    assert renewals.due("{0}:x:1/0", PLACES, NOW_S).all()
    assert not renewals.due("{1}:x:1/0", PLACES, NOW_S).any()


def test_a_set_that_is_kept_shortly_is_left_as_it_is_for_a_hundredth_of_that_time() -> None:
    assert [pause_s(kept_s) for kept_s in (37 * 86_400, 600, 12)] == [30, 6, 0]
