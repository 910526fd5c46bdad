"""From planned blocks to what is read in one step, and from what was read to arrays. Pure.

Counters and bitmaps are read window after window in the order of the blocks, the four products of a window side by
side, so that a block's cells lie together. All blocks are summed and united at once: a year of days has 1,460 cells,
and a few operations on arrays cost less than one on each of them.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate, pairwise
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from query_api.ranges import RANGES_REMEMBERED, PlannedBlock, WindowRun, runs_of
from services.counter_codec import unpack
from services.counters import ReadRequest, ReadResult
from services.identifiers import OrganizationId
from services.keyspace import COUNT_FIELD, FIELDS_MAX, Kind, Scope, counter_key, index_key, period_and_place
from services.metrics_contract import COUNTERS_PER_PRODUCT_MAX, PRODUCTS
from services.windows import HOURS_PER_DAY, Window, first_day_of_month

READ_FIELDS_MAX: Final = 20_000
"""The most fields that one read may ask for (design.md, invariant 10); the limits of ranges keep it below."""

_COUNTERS: Final = {Window.HOUR: Kind.HOURS, Window.DAY: Kind.DAYS}
_ACTIVE: Final = {Window.HOUR: Kind.ACTIVE_HOURS, Window.DAY: Kind.ACTIVE_DAYS}
_FIELDS: Final = tuple(str(number) for number in range(FIELDS_MAX))
_WORD_BYTES: Final = 8

Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockCells:
    """What was counted in the windows of each block.

    Attributes:
        sums: (blocks, products, COUNTERS_PER_PRODUCT_MAX), summed over the block's windows.
        active: (blocks, products), distinct users active in the product.
        active_in_any: (blocks,), distinct users active in any product.
    """

    sums: Numbers
    active: Numbers
    active_in_any: Numbers


Values = tuple[bytes | None, ...]
"""One for each product, window after window; None where the store holds nothing."""

RawBlock = tuple[Values, Values]
"""What the store holds of one block: packed counters, and bitmaps of the active users (none for a user's scope)."""


class WantedCells:
    """The cells that blocks of one scope, ascending and gapless, are made of."""

    def __init__(self, scope: Scope, blocks: Sequence[PlannedBlock]) -> None:
        self._scope = scope
        self._windows = _windows_of(tuple(blocks))

    def request(self, prefix: str) -> ReadRequest:
        """Return what to read: whether the scope is known, then counters, then bitmaps (not for a user)."""
        groups: list[list[str | bytes]] = [_known_group(prefix, self._scope)]
        groups += self._windows.groups(prefix, self._scope, _COUNTERS)
        if self._scope.user is None:
            groups += self._windows.groups(prefix, self._scope, _ACTIVE)
        return ReadRequest(fields=groups)

    def blocks(self, result: ReadResult) -> list[RawBlock] | None:
        """Return the blocks out of the answer to `request`; None when no event ever counted for the scope."""
        known, *values = result.fields
        if known is None:
            return None
        size = self._windows.count * len(PRODUCTS)
        counters = self._windows.parted(values[:size])
        if self._scope.user is not None:
            return [(each, ()) for each in counters]
        return list(zip(counters, self._windows.parted(values[size:]), strict=True))


def block_cells(blocks: Sequence[RawBlock]) -> BlockCells:
    """Return the cells of blocks of one kind of scope."""
    sizes = [len(counters) // len(PRODUCTS) for counters, _ in blocks]
    starts = [0, *accumulate(sizes)][:-1]
    packed = [value for counters, _ in blocks for value in counters]
    bitmaps = [value for _, of_block in blocks for value in of_block]
    counters = unpack(packed).reshape(-1, len(PRODUCTS), COUNTERS_PER_PRODUCT_MAX)
    sums = _of_blocks(np.add, counters, starts)
    if not bitmaps:
        # A user is active in a product when its leading count is 1 or more (contract notes A10).
        active = (sums[:, :, 0] >= 1).astype(np.int64)
        return BlockCells(sums=sums, active=active, active_in_any=active.max(axis=1, initial=0))
    users = _of_blocks(np.bitwise_or, _words(bitmaps), starts)
    return BlockCells(sums=sums, active=_ones(users), active_in_any=_ones(np.bitwise_or.reduce(users, axis=1)))


class WantedActives:
    """Who of an organization was active in blocks, ascending and gapless."""

    def __init__(self, organization: OrganizationId, blocks: Sequence[PlannedBlock]) -> None:
        self._scope = Scope(organization=organization)
        self._windows = _windows_of(tuple(blocks))

    def request(self, prefix: str) -> ReadRequest:
        return ReadRequest(fields=list(self._windows.groups(prefix, self._scope, _ACTIVE)))

    def active_in_any(self, result: ReadResult) -> list[int]:
        """Return each block's distinct users active in any product, out of the answer to `request`."""
        users = _of_blocks(np.bitwise_or, _words(result.fields), self._windows.starts)
        found: list[int] = _ones(np.bitwise_or.reduce(users, axis=1)).tolist()
        return found


class _Windows:
    """The windows of some blocks one after the other: how many, and where each block's start."""

    def __init__(self, blocks: Sequence[PlannedBlock]) -> None:
        self.count = 0
        self.starts: list[int] = []
        runs: list[WindowRun] = []
        for block in blocks:
            self.starts.append(self.count)
            for window, numbers in runs_of(block):
                self.count += len(numbers)
                _add(runs, window, numbers)
        self._hashes = [
            (window, period, _FIELDS[first * len(PRODUCTS) : end * len(PRODUCTS)])
            for window, numbers in runs
            for period, first, end in _periods(window, numbers)
        ]

    def parted(self, values: Sequence[bytes | None]) -> Iterable[Values]:
        """Return the values of each block, of those of all windows."""
        if len(self.starts) == self.count:
            return zip(*[iter(values)] * len(PRODUCTS), strict=True)
        bounds = [start * len(PRODUCTS) for start in (*self.starts, self.count)]
        return [tuple(values[start:end]) for start, end in pairwise(bounds)]

    def groups(self, prefix: str, scope: Scope, kinds: Mapping[Window, Kind]) -> Iterator[list[str | bytes]]:
        """Yield a (key, field, …) group for each run of windows that lie in one hash."""
        for window, period, fields in self._hashes:
            yield [counter_key(prefix, kinds[window], scope, period), *fields]


@lru_cache(maxsize=RANGES_REMEMBERED)
def _windows_of(blocks: tuple[PlannedBlock, ...]) -> _Windows:
    return _Windows(blocks)


def _add(runs: list[WindowRun], window: Window, numbers: range) -> None:
    """Add a run; what goes on where the last one ends is read with it."""
    if runs:
        before, earlier = runs[-1]
        if before is window and earlier.stop == numbers.start:
            runs[-1] = (window, range(earlier.start, numbers.stop))
            return
    runs.append((window, numbers))


def _of_blocks(operation: np.ufunc, of_windows: npt.NDArray[Any], starts: Sequence[int]) -> npt.NDArray[Any]:
    """Return what the operation makes of the windows of each block, along the first axis."""
    if len(starts) == len(of_windows):
        return of_windows
    found: npt.NDArray[Any] = operation.reduceat(of_windows, starts, axis=0)
    return found


def _periods(window: Window, numbers: range) -> Iterator[tuple[int, int, int]]:
    """Yield each period that holds some of the windows, with their first place and their end in it."""
    start = numbers.start
    while start < numbers.stop:
        period, place = period_and_place(window, start)
        length = HOURS_PER_DAY
        if window is Window.DAY:
            length = first_day_of_month(period + 1) - first_day_of_month(period)
        end = min(place + numbers.stop - start, length)
        yield period, place, end
        start += end - place


def _known_group(prefix: str, scope: Scope) -> list[str | bytes]:
    if scope.user is not None:
        return [index_key(prefix, Scope(organization=scope.organization)), scope.user]
    return [index_key(prefix, scope), COUNT_FIELD]


def _words(bitmaps: Sequence[bytes | None]) -> npt.NDArray[np.uint64]:
    """Return bitmaps as (windows, products, words); which bit is which user does not matter here."""
    longest = max(map(len, filter(None, bitmaps)), default=0)
    words = -(-longest // _WORD_BYTES)
    blob = b"".join([(each or b"").ljust(words * _WORD_BYTES, b"\0") for each in bitmaps])
    return np.frombuffer(blob, dtype=np.uint64).reshape(len(bitmaps) // len(PRODUCTS), len(PRODUCTS), words)


def _ones(words: npt.NDArray[np.uint64]) -> Numbers:
    """Return how many bits are set, over the last axis."""
    ones: Numbers = np.bitwise_count(words).sum(axis=-1, dtype=np.int64)
    return ones
