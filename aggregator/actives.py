"""Bitmaps of active users: bit o of byte o // 8, the lowest first, is the member with ordinal o. Pure."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from aggregator.rows import grouped
from services.frames import Column

Mask = npt.NDArray[np.bool_]

_NUMPY_FROM = 64
"""Members from which setting bits by numpy is cheaper than one by one."""


def with_ordinals(bitmap: bytes | None, ordinals: Sequence[int]) -> bytes:
    """Return a bitmap with the members of these ordinals, at least one, in it."""
    bits = bytearray(bitmap or b"")
    missing = max(ordinals) // 8 + 1 - len(bits)
    if missing > 0:
        bits.extend(bytes(missing))
    if len(ordinals) < _NUMPY_FROM:
        for ordinal in ordinals:
            bits[ordinal >> 3] |= 1 << (ordinal & 7)
        return bytes(bits)
    marks = np.zeros(len(bits) * 8, dtype=np.uint8)
    marks[np.array(ordinals)] = 1
    merged: bytes = (np.packbits(marks, bitorder="little") | np.frombuffer(bits, dtype=np.uint8)).tobytes()
    return merged


def missing(bitmaps: Sequence[bytes | None], rows: Column, ordinals: Column) -> Mask:
    """Return which members are not in their row's bitmap yet: few, once an hour or a day has begun."""
    held = [bitmap or b"" for bitmap in bitmaps]
    lengths = np.fromiter(map(len, held), dtype=np.int64, count=len(held))
    begins = lengths.cumsum() - lengths
    every = np.frombuffer(b"".join([*held, b"\0"]), dtype=np.uint8)
    byte = ordinals >> 3
    # Beyond a bitmap's end nobody is in it: that is what the last byte stands for.
    at = np.where(byte < lengths[rows], begins[rows] + byte, len(every) - 1)
    absent: Mask = every[at] >> (ordinals & 7).astype(np.uint8) & 1 == 0
    return absent


def by_row(rows: Column, ordinals: Column) -> dict[int, list[int]]:
    """Return row -> ordinals of its members."""
    of_row = grouped(rows)
    listed = ordinals[of_row.order].tolist()
    bounds = [*of_row.starts.tolist(), len(rows)]
    return {row: listed[bounds[at] : bounds[at + 1]] for at, row in enumerate(rows[of_row.first].tolist())}
