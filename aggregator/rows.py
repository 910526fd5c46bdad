"""Rows brought together where they are alike. Pure.

Small runs are many, so that what counts there is the number of steps: each of these is one pass of numpy, without the
checks of `numpy.unique` and its like, which take longer than a sort of a hundred rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from services.frames import Column

Mask = npt.NDArray[np.bool_]

_COUNTING_FROM: Final = 500
"""Rows from which sorting by counting is quicker."""


@dataclass(frozen=True, slots=True)
class Grouping:
    """Groups of rows, ascending by key: `order` sorts the rows, `starts` is where each begins, `group` each row's."""

    order: Column
    starts: Column
    group: Column

    @property
    def first(self) -> Column:
        """A row of each group."""
        return self.order[self.starts]

    @property
    def counts(self) -> Column:
        """How many rows each group has."""
        return np.diff(self.starts, append=len(self.order))

    def sums(self, values: Column) -> Column:
        """Return each group's sum of the rows' values, (rows,) or (rows, n)."""
        if not len(self.starts):
            return values[:0]
        sums: Column = np.add.reduceat(values[self.order], self.starts, axis=0)
        return sums


def grouped(key: Column) -> Grouping:
    """Return the groups of rows with equal keys, which are not negative; rows of a group stay in their order."""
    order = _ascending(key)
    new = is_new(key[order])
    group = np.empty(len(key), dtype=np.int64)
    group[order] = new.cumsum() - 1
    return Grouping(order, new.nonzero()[0], group)


def _ascending(key: Column) -> Column:
    """Return the rows in the order of their keys, equal ones in theirs.

    numpy sorts 16 bits by counting, which takes a quarter of the time that comparing does: so two such sorts for a key
    of 32 bits. Few rows are sorted at once either way.
    """
    top = key.max(initial=0)
    if len(key) < _COUNTING_FROM or top >= 1 << 32:
        return key.argsort(kind="stable")
    order: Column = key.astype(np.uint16).argsort(kind="stable")
    if top >= 1 << 16:
        order = order[(key >> 16).astype(np.uint16)[order].argsort(kind="stable")]
    return order


def is_new(*columns: Column) -> Mask:
    """Return which rows differ from the row before them, in any of the columns; the first one does."""
    new = np.zeros(len(columns[0]), dtype=np.bool_)
    new[:1] = True
    for column in columns:
        new[1:] |= column[1:] != column[:-1]
    return new


def joined(columns: Sequence[Column]) -> Column:
    """Return one number a row that compares as the columns do; their ranges multiplied must stay below 2^63."""
    key = np.zeros(len(columns[0]), dtype=np.int64)
    if not len(key):
        return key
    for column in columns:
        least = column.min()
        key = key * (column.max() - least + 1) + (column - least)
    return key
