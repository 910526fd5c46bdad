"""Bytes that Redis takes for a key and what it holds, from how Redis 7.0 and jemalloc lay them out. Pure.

Sizes are expected ones, so that a number of bytes that varies from key to key gives no steps: an allocation is rounded
up to the next of jemalloc's classes, by half the distance between two of them on average.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float64]

QUANTUM: Final = 16
"""Distance of jemalloc's classes up to 128 bytes; beyond, each doubling has four of them."""

DICT_ENTRY: Final = 24
OBJECT: Final = 16
DICT: Final = 56
"""Head of a hash table, as Redis 7.0 has it."""

TABLE_SLOT: Final = 8 * 1.4
"""Of a hash table, an entry: 8 bytes for each of a power of two of slots, 1 to 2 times as many as entries."""

EXPIRY: Final = 32 + TABLE_SLOT
"""A key's end stands in a table of its own: entry and slot."""

KEY_TABLE: Final = TABLE_SLOT + 32 - DICT_ENTRY
"""What a key takes beside what `MEMORY USAGE` tells of it: its slot, and its entry's rounding up."""

LISTPACK_HEAD: Final = 7
LISTPACK_VALUE_MAX: Final = 64
"""A hash with a longer value is no listpack (`hash-max-listpack-value`)."""

INDEX_LISTPACK_MAX: Final = 512
"""Entries that a user index may have and still be a listpack (`hash-max-listpack-entries` of Redis 7.0)."""


def allocated(size: float | Numbers) -> Numbers:
    """Return what an allocation of about this size takes."""
    sizes = np.maximum(np.asarray(size, dtype=np.float64), 1.0)
    small = np.where(sizes <= 8, 8.0, 16.0)
    step = np.where(sizes <= 8 * QUANTUM, QUANTUM, 2.0 ** (np.floor(np.log2(sizes)) - 2))
    rounded: Numbers = np.where(sizes <= QUANTUM, small, sizes + step / 2)
    return rounded


def text(length: float | Numbers) -> Numbers:
    """Return the bytes of a string of its own (sds): head, text, a zero."""
    lengths = np.asarray(length, dtype=np.float64)
    head = np.where(lengths < 32, 1, np.where(lengths < 256, 3, 5))
    return allocated(lengths + head + 1)


def key(length: float | Numbers) -> Numbers:
    """Return what `MEMORY USAGE` tells of a key of this length without its value."""
    return text(length) + DICT_ENTRY + OBJECT


def listpack(fields: float | Numbers, value: float | Numbers) -> Numbers:
    """Return a hash of small values: fields that are numbers below 128, values of so many bytes on average."""
    return allocated(LISTPACK_HEAD + np.asarray(fields) * (2 + 2 + np.asarray(value)))


def table(entries: float | Numbers, field: float | Numbers, value: float | Numbers) -> Numbers:
    """Return a hash of any values as a hash table, both strings' lengths given."""
    each = 32 + TABLE_SLOT + text(field) + text(value)
    return 2 * DICT + np.asarray(entries) * each


def integers(count: float | Numbers) -> Numbers:
    """Return a set of so many 64-bit numbers, packed (intset)."""
    return allocated(8 + 8 * np.asarray(count))
