"""Many RFC 3339 times at once, where they have the form that most producers write. Pure.

`2026-08-22T08:15:30.250Z`, with any number of decimals or none, all of one length. A text in another form, or one that
names no moment, is left to the strict reader.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from services.frames import Column
from services.windows import DAY_MS

Mask = npt.NDArray[np.bool_]

_DIGITS: Final = (0, 1, 2, 3, 5, 6, 8, 9, 11, 12, 14, 15, 17, 18)
_MARKS_AT: Final = (4, 7, 10, 13, 16)
_MARKS: Final = np.frombuffer(b"--T::", dtype=np.uint8)[:, None]
_WEIGHTS: Final = np.array(
    [
        [1000, 100, 10, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 10, 1, 0, 0, 0, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 0, 10, 1, 0, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 0, 0, 0, 10, 1, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 10, 1, 0, 0],
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 10, 1],
    ],
    dtype=np.float64,
)
"""What each digit counts in year, month, day, hour, minute and second."""

_LEAST: Final = np.array([[1], [1], [1], [0], [0], [0]])
_MOST: Final = np.array([[9999], [12], [31], [23], [59], [59]])
_POINT_AT: Final = 19
_SHORTEST: Final = len("2026-08-22T08:15:30Z")
_LONGEST: Final = 32


def read_times(texts: Sequence[str]) -> tuple[Column, Mask]:
    """Return the times in milliseconds since the epoch, rounded down, and which of them were read; 0 for the others."""
    times, read = np.zeros(len(texts), dtype=np.int64), np.zeros(len(texts), dtype=np.bool_)
    lengths = set(map(len, texts))
    if len(lengths) != 1:
        return times, read
    [length] = lengths
    if not _SHORTEST <= length <= _LONGEST or length == _SHORTEST + 1:
        return times, read
    try:
        characters = "".join(texts).encode("ascii")
    except UnicodeEncodeError:
        return times, read
    # (length, texts): one row a place, so that each step below goes over adjoining bytes.
    rows = np.ascontiguousarray(np.frombuffer(characters, dtype=np.uint8).reshape(-1, length).T)
    digits = rows - np.uint8(ord("0"))  # what is no digit wraps to 10 or more
    decimals = range(_POINT_AT + 1, length - 1)
    read = (digits[[*_DIGITS, *decimals]] <= 9).all(axis=0) & (rows[-1] == ord("Z"))
    read &= (rows[list(_MARKS_AT)] == _MARKS).all(axis=0)
    if decimals:
        read &= rows[_POINT_AT] == ord(".")
    fields = (_WEIGHTS @ digits[list(_DIGITS)].astype(np.float64)).astype(np.int64)
    read &= ((fields >= _LEAST) & (fields <= _MOST)).all(axis=0)
    year, month, day, hour, minute, second = fields
    months = ((year - 1970) * 12 + month - 1).astype("datetime64[M]")
    days = months.astype("datetime64[D]").astype(np.int64) + day - 1
    # The 31st of a shorter month lies in the next one.
    read &= days.astype("datetime64[D]").astype("datetime64[M]") == months
    found = days * DAY_MS + ((hour * 60 + minute) * 60 + second) * 1000
    for place, weight in zip(decimals, (100, 10, 1), strict=False):
        found += digits[place] * np.int64(weight)
    return np.where(read, found, 0), read
