"""What a worker knows of the dedup index without asking: all of a generation, or nothing."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from aggregator.known_ids import IdSet, KnownIds

NUMBERS = st.integers(-(2**63), 2**63 - 1)


def column(numbers: list[int]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.array(numbers, dtype=np.int64)


@given(st.lists(st.lists(NUMBERS, max_size=40), max_size=30), st.lists(NUMBERS, max_size=40))
def test_a_set_contains_what_was_added_and_nothing_else(batches: list[list[int]], others: list[int]) -> None:
    held, ids = set[int](), IdSet()
    for batch in batches:
        new = list(dict.fromkeys(number for number in batch if number not in held))
        asked = [*held, *new, *others]
        assert ids.contains(column(asked)).tolist() == [number in held for number in asked]
        ids.add(column(new))
        held.update(new)
        assert len(ids) == len(held)
    asked = [*held, *others]
    assert ids.contains(column(asked)).tolist() == [number in held for number in asked]


def test_only_a_generation_seen_from_its_beginning_is_known() -> None:
    known = KnownIds()
    known.add("x:1/0", column([1]))
    assert known.get("x:1/0", 0) is None
    known.begin("x:1/1", math.inf)
    known.add("x:1/1", column([2]))
    ids = known.get("x:1/1", 0)
    assert ids is not None
    assert ids.contains(column([1, 2])).tolist() == [False, True]


def test_of_too_many_identities_the_largest_generation_is_forgotten_for_good() -> None:
    known = KnownIds(10)
    known.begin("x:1/0", math.inf)
    known.add("x:1/0", column([1, 2]))
    known.begin("x:1/1", math.inf)
    known.add("x:1/1", column(list(range(10, 17))))
    known.add("x:1/0", column([3, 4]))
    assert known.get("x:1/1", 0) is None
    known.add("x:1/1", column([20]))
    assert known.get("x:1/1", 0) is None
    assert known.get("x:1/0", 0) is not None


def test_a_partition_is_forgotten_alone() -> None:
    known = KnownIds()
    for key in ("{0}:x:1/0", "{1}:x:1/0"):
        known.begin(key, math.inf)
        known.add(key, column([1]))
    known.forget("{0}:")
    assert known.get("{0}:x:1/0", 0) is None
    assert known.get("{1}:x:1/0", 0) is not None


def test_a_generation_is_known_until_the_first_of_its_sets_may_have_ended() -> None:
    known = KnownIds()
    known.begin("{0}:x:1/0", until_s=100.0)
    known.add("{0}:x:1/0", np.array([1, 2, 3]))
    assert known.get("{0}:x:1/0", elapsed_s=99.0) is not None
    assert known.get("{0}:x:1/0", elapsed_s=100.0) is None
    known.add("{0}:x:1/0", np.array([4]))
    assert known.get("{0}:x:1/0", elapsed_s=99.0) is None
