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
_MARKS: Final = {4: "-", 7: "-", 10: "T", 13: ":", 16: ":"}
_POINT_AT: Final = 19
_SHORTEST: Final = len("2026-08-22T08:15:30Z")
_LONGEST: Final = 32
_ZERO: Final = ord("0")


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
    digits = rows - np.uint8(_ZERO)  # what is no digit wraps to 10 or more
    places = [*_DIGITS, *range(_POINT_AT + 1, length - 1)]
    read = (digits[places] <= 9).all(axis=0) & (rows[length - 1] == ord("Z"))
    for at, mark in _MARKS.items():
        read &= rows[at] == ord(mark)
    if length > _SHORTEST:
        read &= rows[_POINT_AT] == ord(".")

    def number(*at: int) -> Column:
        value = np.zeros(len(texts), dtype=np.int64)
        for place in at:
            value = value * 10 + digits[place]
        return value

    year, month, day = number(0, 1, 2, 3), number(5, 6), number(8, 9)
    hour, minute, second = number(11, 12), number(14, 15), number(17, 18)
    decimals = range(_POINT_AT + 1, length - 1)[:3]
    fraction = number(*decimals) * 10 ** (3 - len(decimals))
    months = ((year - 1970) * 12 + month - 1).astype("datetime64[M]")
    first_day = months.astype("datetime64[D]").astype(np.int64)
    days = (months + 1).astype("datetime64[D]").astype(np.int64) - first_day
    read &= (year >= 1) & (month >= 1) & (month <= 12) & (day >= 1) & (day <= days)
    read &= (hour <= 23) & (minute <= 59) & (second <= 59)
    found = (first_day + day - 1) * DAY_MS + ((hour * 60 + minute) * 60 + second) * 1000 + fraction
    return np.where(read, found, 0), read
