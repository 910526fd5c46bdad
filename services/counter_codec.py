"""Packed counter values: all counters of one (window, product) in one Redis field.

A value is one byte W, the width in bytes of each number (1 to 7), then the product's counters in the order of
`services.metrics_contract`, each W bytes, little-endian, unsigned. W is the least that fits the largest of them.
A value packed when its product had fewer counters reads as zeros in the new ones. Arrays are int64, shape
(rows, COUNTERS_PER_PRODUCT_MAX), counters that the product does not have 0.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from services.metrics_contract import COUNTERS_PER_PRODUCT_MAX

Matrix = npt.NDArray[np.int64]

_WIDTHS = range(1, 8)
_LIMITS = np.array([1 << (8 * width) for width in _WIDTHS], dtype=np.int64)


class CorruptCounter(ValueError):
    """A stored value is not one that `pack` makes."""


def pack(matrix: Matrix, counters: int) -> list[bytes]:
    """Return each row's first `counters` numbers packed.

    Args:
        matrix: int64 (rows, at least `counters`), 0 to 2^53 - 1.
    """
    rows = matrix[:, :counters]
    widths = np.searchsorted(_LIMITS, rows.max(axis=1, initial=0), side="right") + 1
    values = [b""] * len(rows)
    for width in np.unique(widths).tolist():
        at = np.flatnonzero(widths == width)
        packed = np.empty((len(at), 1 + counters * width), dtype=np.uint8)
        packed[:, 0] = width
        little_endian = np.ascontiguousarray(rows[at], dtype="<i8").view(np.uint8)
        packed[:, 1:] = little_endian.reshape(len(at), counters, 8)[:, :, :width].reshape(len(at), -1)
        blob = packed.tobytes()
        step = packed.shape[1]
        for row, start in zip(at.tolist(), range(0, len(blob), step), strict=True):
            values[row] = blob[start : start + step]
    return values


def unpack(values: Sequence[bytes | None]) -> Matrix:
    """Return packed values as a matrix; a row of zeros where a value is None.

    Raises:
        CorruptCounter: a value is not a whole number of numbers, or holds too many.
    """
    matrix = np.zeros((len(values), COUNTERS_PER_PRODUCT_MAX), dtype=np.int64)
    by_shape: dict[tuple[int, int], list[int]] = {}
    for row, value in enumerate(values):
        if value is not None:
            by_shape.setdefault((value[0] if value else 0, len(value)), []).append(row)
    for (width, length), rows in by_shape.items():
        if width not in _WIDTHS or (length - 1) % width or length > 1 + width * COUNTERS_PER_PRODUCT_MAX:
            raise CorruptCounter(f"a counter of {length} bytes cannot hold numbers of {width} bytes")
        counters = (length - 1) // width
        blob = b"".join([value for value in map(values.__getitem__, rows) if value is not None])
        packed = np.frombuffer(blob, dtype=np.uint8).reshape(len(rows), length)
        wide = np.zeros((len(rows), counters, 8), dtype=np.uint8)
        wide[:, :, :width] = packed[:, 1:].reshape(len(rows), counters, width)
        matrix[rows, :counters] = wide.view("<i8").reshape(len(rows), counters)
    return matrix
