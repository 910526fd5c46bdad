"""Bitmaps of active users: bit o of byte o // 8, the lowest first, is the member with ordinal o. Pure."""

from collections.abc import Sequence

import numpy as np

from services.frames import Column


def united(bitmaps: Sequence[bytes | None], rows: Column, ordinals: Column) -> list[bytes]:
    """Return the bitmaps with more members in them.

    Args:
        rows, ordinals: (members,) which bitmap each comes to, and its ordinal.
    """
    held = [bitmap or b"" for bitmap in bitmaps]
    places = ordinals >> 3
    sizes = np.fromiter(map(len, held), dtype=np.int64, count=len(held))
    np.maximum.at(sizes, rows, places + 1)
    ends = sizes.cumsum()
    begins = ends - sizes
    every = bytearray().join(map(bytes.ljust, held, sizes.tolist(), [b"\0"] * len(held)))
    bits = np.uint8(1) << (ordinals & 7).astype(np.uint8)
    np.bitwise_or.at(np.frombuffer(every, dtype=np.uint8), begins[rows] + places, bits)
    whole = bytes(every)
    return [whole[begin:end] for begin, end in zip(begins.tolist(), ends.tolist(), strict=True)]
