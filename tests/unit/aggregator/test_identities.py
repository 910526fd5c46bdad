"""Identities of one dedup index are found in another one with other generations, and only there."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from aggregator.dedup import sets_of
from aggregator.identities import Sought
from services.dedup_index import Generation, generation_key

PREFIX = "tm:{0}:e1:"
PERIOD = 2_800
IDS = st.sets(st.integers(-(2**63), 2**63 - 1), max_size=40)


@given(IDS, IDS, st.lists(st.integers(1, 5_000), min_size=1, max_size=3), st.data())
def test_what_is_in_any_generation_is_found_and_the_rest_is_missing(
    held: set[int], others: set[int], ranges: list[int], data: st.DataObject
) -> None:
    generations = [Generation(count, 0) for count in ranges]
    index: dict[str, set[int]] = {}
    for identity in held:
        number = data.draw(st.integers(0, len(ranges) - 1))
        [place], _ = sets_of(np.array([identity]), np.array([0]), ranges[number])
        index.setdefault(f"{generation_key(PREFIX, PERIOD, number)}/{place}", set()).add(identity)
    asked = sorted(held | others)
    sought = Sought(np.array(asked, dtype=np.int64), PREFIX, PERIOD, generations)
    answers = [int(int(one) in index.get(str(key), set())) for key, *ids in sought.groups for one in ids]
    assert sorted(sought.missing(answers)) == sorted(others - held)


def test_without_generations_everything_is_missing() -> None:
    sought = Sought(np.array([1, 2]), PREFIX, PERIOD, ())
    assert sought.groups == []
    assert sought.missing(()) == [1, 2]
