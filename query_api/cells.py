"""From planned blocks to what is read in one step, and from what was read to arrays. Pure.

Counters and bitmaps are read window after window in the order of the blocks, the four products of a window side by
side, so that a block's cells lie together.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import groupby
from operator import or_
from typing import Final

from query_api.ranges import PlannedBlock
from services.counter_codec import Matrix, unpack
from services.counters import ReadRequest, ReadResult
from services.identifiers import OrganizationId
from services.keyspace import COUNT_FIELD, Kind, Scope, counter_field, counter_key, index_key, period_and_place
from services.metrics_contract import PRODUCTS
from services.windows import Window

FIELDS_MAX: Final = 20_000
"""The most fields that one read may ask for (design.md, invariant 10); the limits of ranges keep it below."""

_COUNTERS: Final = {Window.HOUR: Kind.HOURS, Window.DAY: Kind.DAYS}
_ACTIVE: Final = {Window.HOUR: Kind.ACTIVE_HOURS, Window.DAY: Kind.ACTIVE_DAYS}


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockCells:
    """What was counted in the windows of one block.

    Attributes:
        sums: int64 (products, COUNTERS_PER_PRODUCT_MAX), summed over the block's windows.
        active: for each product, bit o = the scope's user of ordinal o was active in the block; for a user's scope
            bit 0 is the user.
    """

    sums: Matrix
    active: tuple[int, ...]


def read_request(prefix: str, scope: Scope, blocks: Sequence[PlannedBlock]) -> ReadRequest:
    """Return what to read: whether the scope is known, then counters, then bitmaps (not for a user)."""
    windows = _windows(blocks)
    groups: list[list[str | bytes]] = [_known_group(prefix, scope)]
    groups += _groups(prefix, scope, windows, _COUNTERS)
    if scope.user is None:
        groups += _groups(prefix, scope, windows, _ACTIVE)
    return ReadRequest(fields=groups)


def actives_request(prefix: str, organization: OrganizationId, blocks: Sequence[PlannedBlock]) -> ReadRequest:
    """Return what to read to tell how many users of an organization were active in each block."""
    scope = Scope(organization=organization)
    return ReadRequest(fields=list(_groups(prefix, scope, _windows(blocks), _ACTIVE)))


def active_users(result: ReadResult, blocks: Sequence[PlannedBlock]) -> Iterator[int]:
    """Yield how many distinct users were active in any product in each block, out of what `actives_request` asked."""
    start = 0
    for block in blocks:
        end = start + len(_windows([block])) * len(PRODUCTS)
        yield reduce(or_, _united(result.fields[start:end])).bit_count()
        start = end


def is_known(result: ReadResult) -> bool:
    """Whether any event ever counted for the scope."""
    return result.fields[0] is not None


def block_cells(result: ReadResult, scope: Scope, blocks: Sequence[PlannedBlock]) -> Iterator[BlockCells]:
    """Yield each block's cells out of the answer to `read_request`."""
    sizes = [len(_windows([block])) * len(PRODUCTS) for block in blocks]
    counters = unpack(result.fields[1 : 1 + sum(sizes)])
    bitmaps = result.fields[1 + sum(sizes) :]
    start = 0
    for size in sizes:
        end = start + size
        sums = counters[start:end].reshape(-1, len(PRODUCTS), counters.shape[1]).sum(axis=0)
        active = _active_alone(sums) if scope.user is not None else _united(bitmaps[start:end])
        yield BlockCells(sums=sums, active=active)
        start = end


def _windows(blocks: Sequence[PlannedBlock]) -> list[tuple[Window, int]]:
    return [window for block in blocks for window in block.windows()]


def _known_group(prefix: str, scope: Scope) -> list[str | bytes]:
    if scope.user is not None:
        return [index_key(prefix, Scope(organization=scope.organization)), scope.user]
    return [index_key(prefix, scope), COUNT_FIELD]


def _groups(
    prefix: str, scope: Scope, windows: Sequence[tuple[Window, int]], kinds: dict[Window, Kind]
) -> Iterator[list[str | bytes]]:
    """Yield a (key, field, …) group for each run of windows that lie in one hash."""
    placed = [(window, *period_and_place(window, number)) for window, number in windows]
    for (window, period), run in groupby(placed, key=lambda row: row[:2]):
        fields = (str(counter_field(place, product.code)) for _, _, place in run for product in PRODUCTS)
        yield [counter_key(prefix, kinds[window], scope, period), *fields]


def _active_alone(sums: Matrix) -> tuple[int, ...]:
    """A user is active in a product when its leading count is 1 or more (contract notes A10)."""
    return tuple(int(leading >= 1) for leading in sums[:, 0].tolist())


def _united(bitmaps: Sequence[bytes | None]) -> tuple[int, ...]:
    """Return the union over the windows, for each product; bit o stands in byte o // 8, lowest first."""
    active = [0] * len(PRODUCTS)
    for at, bitmap in enumerate(bitmaps):
        if bitmap:
            active[at % len(PRODUCTS)] |= int.from_bytes(bitmap, "little")
    return tuple(active)
