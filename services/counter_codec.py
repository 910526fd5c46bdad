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

_WIDTH_MAX = 7
_WIDTHS = range(1, _WIDTH_MAX + 1)
_LIMITS = np.array([1 << (8 * width) for width in _WIDTHS], dtype=np.int64)
_SIZE_MAX = 1 + max(_WIDTHS) * COUNTERS_PER_PRODUCT_MAX
_PADDED = _SIZE_MAX + 1
"""Bytes of a value with zeros behind it, so that there is always one."""

_ZERO = b"\x01"
"""A value without numbers, which reads as zeros."""


def _number_bytes(width: int) -> list[int]:
    """Return, for each of a value's numbers as eight bytes, the place of each byte; that of a zero above `width`."""
    return [
        1 + number * width + byte if byte < width else _SIZE_MAX
        for number in range(COUNTERS_PER_PRODUCT_MAX)
        for byte in range(8)
    ]


_PLACES = np.array([_number_bytes(width) for width in range(max(_WIDTHS) + 1)])
_IS_SHAPE = np.zeros((256, _PADDED), dtype=np.bool_)
for _width in _WIDTHS:
    _IS_SHAPE[_width, 1 : 2 + _width * COUNTERS_PER_PRODUCT_MAX : _width] = True


class CorruptCounter(ValueError):
    """A stored value is not one that `pack` makes."""


def pack(matrix: Matrix, counters: int | npt.NDArray[np.int64]) -> list[bytes]:
    """Return each row's first `counters` numbers packed.

    Args:
        matrix: int64 (rows, at least `counters`), 0 to 2^53 - 1; what lies behind them is 0.
        counters: of every row, or of each.
    """
    widths = _LIMITS.searchsorted(matrix.max(axis=1, initial=0), side="right") + 1
    values = [b""] * len(matrix)
    shapes = widths + np.int64(_WIDTH_MAX + 1) * counters
    # Rows of one width and number of counters are packed together.
    for shape in set(shapes.tolist()):
        count, width = divmod(shape, _WIDTH_MAX + 1)
        at = (shapes == shape).nonzero()[0]
        packed = np.empty((len(at), 1 + count * width), dtype=np.uint8)
        packed[:, 0] = width
        little_endian = np.ascontiguousarray(matrix[at, :count], dtype="<i8").view(np.uint8)
        packed[:, 1:] = little_endian.reshape(len(at), count, 8)[:, :, :width].reshape(len(at), -1)
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
    held = [_ZERO if value is None else value for value in values]
    lengths = np.fromiter(map(len, held), dtype=np.int64, count=len(held))
    if (longest := int(lengths.max(initial=0))) > _SIZE_MAX:
        raise CorruptCounter(f"a counter of {longest} bytes is longer than one can be")
    packed = np.frombuffer(b"".join([value.ljust(_PADDED, b"\0") for value in held]), dtype=np.uint8)
    widths = packed[::_PADDED]
    if not (shapes := _IS_SHAPE[widths, lengths]).all():
        wrong = int(np.flatnonzero(~shapes)[0])
        raise CorruptCounter(f"a counter of {lengths[wrong]} bytes cannot hold numbers of {widths[wrong]} bytes")
    places = _PLACES.take(widths, axis=0)
    places += np.arange(0, len(packed), _PADDED)[:, None]
    numbers: Matrix = packed.take(places).view("<i8")
    return numbers
