"""Packed counters: every number comes back, and what is no packed counter is never read as one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.counter_codec import CorruptCounter, pack, unpack
from services.metrics_contract import COUNTER_MAX, COUNTERS_PER_PRODUCT_MAX

EDGES = [edge for width in range(1, 7) for edge in (2 ** (8 * width) - 1, 2 ** (8 * width))]
NUMBERS = st.integers(0, COUNTER_MAX) | st.sampled_from([0, 1, COUNTER_MAX, *EDGES])


@st.composite
def matrices(draw: st.DrawFn) -> tuple[list[list[int]], int]:
    counters = draw(st.integers(1, COUNTERS_PER_PRODUCT_MAX))
    row = st.lists(NUMBERS, min_size=counters, max_size=counters)
    return draw(st.lists(row, max_size=6)), counters


def matrix_of(rows: list[list[int]]) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    matrix = np.zeros((len(rows), COUNTERS_PER_PRODUCT_MAX), dtype=np.int64)
    for at, row in enumerate(rows):
        matrix[at, : len(row)] = row
    return matrix


@given(matrices())
def test_what_is_packed_comes_back(packed: tuple[list[list[int]], int]) -> None:
    rows, counters = packed
    assert unpack(pack(matrix_of(rows), counters)).tolist() == matrix_of(rows).tolist()


@pytest.mark.parametrize("width", range(1, 8))
def test_each_width_holds_its_largest_number_and_is_the_least_that_does(width: int) -> None:
    largest = min(2 ** (8 * width) - 1, COUNTER_MAX)
    [value] = pack(matrix_of([[largest, 0]]), 2)
    assert (value[0], len(value)) == (width, 1 + 2 * width)
    assert unpack([value])[0, :2].tolist() == [largest, 0]


def test_a_packed_value_stays_within_what_a_listpack_takes() -> None:
    [value] = pack(matrix_of([[COUNTER_MAX] * COUNTERS_PER_PRODUCT_MAX]), COUNTERS_PER_PRODUCT_MAX)
    assert len(value) == 64


def test_rows_of_different_widths_keep_their_places() -> None:
    rows = [[1], [COUNTER_MAX], [255], [256], [0]]
    assert unpack(pack(matrix_of(rows), 1))[:, 0].tolist() == [1, COUNTER_MAX, 255, 256, 0]


def test_a_value_of_fewer_counters_reads_as_zeros_in_the_new_ones() -> None:
    assert unpack(pack(matrix_of([[7, 300]]), 2)).tolist() == matrix_of([[7, 300, 0, 0]]).tolist()


def test_what_is_absent_reads_as_zeros() -> None:
    [value] = pack(matrix_of([[5]]), 1)
    assert unpack([None, value, None])[:, 0].tolist() == [0, 5, 0]
    assert unpack([]).shape == (0, COUNTERS_PER_PRODUCT_MAX)


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"\x00\x01",
        b"\x08" + bytes(8),
        b"\xff" + bytes(16),
        b"\x02\x01\x02\x03",
        b"\x01" + bytes(COUNTERS_PER_PRODUCT_MAX + 1),
        b"17",
    ],
)
def test_a_value_that_pack_does_not_make_is_corrupt(value: bytes) -> None:
    [good] = pack(matrix_of([[5]]), 1)
    with pytest.raises(CorruptCounter):
        unpack([good, value])


@given(st.binary(max_size=70))
def test_any_bytes_are_corrupt_or_whole_numbers(value: bytes) -> None:
    try:
        [row] = unpack([value]).tolist()
    except CorruptCounter:
        return
    counters = (len(value) - 1) // value[0]
    assert row[:counters] == [
        int.from_bytes(value[1 + at * value[0] : 1 + (at + 1) * value[0]], "little") for at in range(counters)
    ]
    assert row[counters:] == [0] * (COUNTERS_PER_PRODUCT_MAX - counters)
