"""The histogram of arrays beside the client's own, which takes one observation a call."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram, disable_created_metrics, generate_latest

from services.array_histogram import ArrayHistogram

BOUNDS = (0.1, 1.0, 10.0, 3600.0)
values = st.one_of(st.sampled_from([0.0, *BOUNDS]), st.integers(0, 10**7).map(lambda number: number / 1000))


@given(st.lists(st.lists(values, max_size=20), max_size=4))
def test_arrays_give_the_page_that_single_observations_give(arrays: list[list[float]]) -> None:
    disable_created_metrics()  # type: ignore[no-untyped-call]
    one_by_one, together = CollectorRegistry(), CollectorRegistry()
    reference = Histogram("ages_seconds", "Ages.", registry=one_by_one, buckets=BOUNDS)
    histogram = ArrayHistogram("ages_seconds", "Ages.", BOUNDS)
    together.register(histogram)
    for array in arrays:
        histogram.observe_many(np.array(array))
        for value in array:
            reference.observe(value)
    assert numbers(together) == numbers(one_by_one)


def numbers(registry: CollectorRegistry) -> list[tuple[str, float]]:
    """Return the lines of the page with their values rounded: sums depend on the order of their terms."""
    lines = [line.rpartition(" ") for line in generate_latest(registry).decode().splitlines() if line[0] != "#"]
    return [(name, round(float(value), 6)) for name, _, value in lines]
