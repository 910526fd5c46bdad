"""One row a cell, out of whole counter hashes: for the export, and for a person who looks at one cell. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import msgspec

from services.counter_codec import unpack
from services.keyspace import CounterKey, Kind, Scope
from services.metrics_contract import PRODUCTS, Product
from services.windows import DAY_MS, HOUR_MS, HOURS_PER_DAY, Window, first_day_of_month, rfc3339

WINDOWS: Final = {Kind.HOURS: Window.HOUR, Kind.DAYS: Window.DAY}
"""The kinds that hold counters, and of which windows."""

ACTIVE_KINDS: Final = {Kind.HOURS: Kind.ACTIVE_HOURS, Kind.DAYS: Kind.ACTIVE_DAYS}
WINDOW_MS: Final = {Window.HOUR: HOUR_MS, Window.DAY: DAY_MS}


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductRow:
    """One product of a cell: its distinct active users, and its counters in packing order."""

    product: Product
    active_users: int
    counters: Sequence[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class CellRow:
    """One cell: a window of a scope, with the products that have an event in it.

    Attributes:
        number: of the hour or day window.
        active_users: distinct users active in any product.
    """

    scope: Scope
    window: Window
    number: int
    active_users: int
    products: Sequence[ProductRow]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredCells:
    """One counter hash, and the bitmaps of active users beside it; these are empty for a user's scope."""

    key: CounterKey
    counters: Mapping[bytes, bytes]
    bitmaps: Mapping[bytes, bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptFrom:
    """The first hour and day window that are still kept; None when nothing expires."""

    hour: int | None
    day: int | None

    def holds(self, window: Window, number: int) -> bool:
        first = self.hour if window is Window.HOUR else self.day
        return first is None or number >= first


def kept_from(now_ms: int, *, keep_hours_s: float | None, keep_days_s: float | None) -> KeptFrom:
    """Return what is kept at an instant: a window for so many seconds after its end, None for ever."""

    def first(keep_s: float | None, window_ms: int) -> int | None:
        return None if keep_s is None else (now_ms - round(keep_s * 1000)) // window_ms

    return KeptFrom(hour=first(keep_hours_s, HOUR_MS), day=first(keep_days_s, DAY_MS))


def cell_rows(stored: Sequence[StoredCells], kept: KeptFrom) -> Iterator[CellRow]:
    """Yield the rows of some hashes, hash after hash, windows ascending; windows past their keep time are left out."""
    fields = [sorted((int(name), value) for name, value in each.counters.items()) for each in stored]
    # All values at once: unpacking one by one would cost more than everything else.
    amounts = iter(unpack([value for row in fields for _, value in row]).tolist())
    for each, row in zip(stored, fields, strict=True):
        yield from _rows_of(each, [(number, next(amounts)) for number, _ in row], kept)


def _rows_of(stored: StoredCells, fields: Sequence[tuple[int, list[int]]], kept: KeptFrom) -> Iterator[CellRow]:
    kind, scope, period = stored.key
    window = WINDOWS[kind]
    first = period * HOURS_PER_DAY if window is Window.HOUR else first_day_of_month(period)
    by_place: dict[int, list[tuple[Product, list[int]]]] = {}
    for field, counters in fields:
        place, code = divmod(field, len(PRODUCTS))
        by_place.setdefault(place, []).append((PRODUCTS[code], counters))
    for place, products in by_place.items():
        if not kept.holds(window, first + place):
            continue
        any_product = 0
        rows = []
        for product, counters in products:
            active = _active(stored, place * len(PRODUCTS) + product.code, counters)
            any_product |= active
            rows.append(
                ProductRow(product=product, active_users=active.bit_count(), counters=counters[: len(product.counters)])
            )
        yield CellRow(
            scope=scope, window=window, number=first + place, active_users=any_product.bit_count(), products=rows
        )


def _active(stored: StoredCells, field: int, counters: Sequence[int]) -> int:
    """Return the active users as bits. A user alone is active when the leading count is 1 or more (notes A10)."""
    if stored.key.scope.user is not None:
        return int(counters[0] >= 1)
    return int.from_bytes(stored.bitmaps.get(b"%d" % field, b""), "little")


def row_lines(rows: Iterable[CellRow]) -> Iterator[str]:
    """Yield each row as the JSON line that `counters export` writes, without its newline."""
    head_of: Scope | None = None
    head = ""
    for row in rows:
        if row.scope is not head_of:
            head_of, head = row.scope, _head(row.scope)
        metrics = "".join(_TEMPLATES[each.product.code] % (each.active_users, *each.counters) for each in row.products)
        yield f'{head}{_window(row.window, row.number)}"metrics":{{"activeUsers":{row.active_users}{metrics}}}}}'


def row_members(row: CellRow) -> dict[str, Any]:
    """Return a row as the JSON object of its line."""
    members: dict[str, Any] = msgspec.json.decode(next(row_lines([row])))
    return members


# Rows are written from templates: a million dictionaries through a JSON library take longer than reading them.
_TEMPLATES: Final = tuple(
    f',"{product.name}":{{"activeUsers":%d' + "".join(f',"{name}":%d' for name in product.counters) + "}"
    for product in PRODUCTS
)


def _head(scope: Scope) -> str:
    encode = msgspec.json.encode
    names = (("organization", scope.organization), ("team", scope.team), ("user", scope.user))
    return "{" + "".join(f'"{name}":{encode(value).decode()},' for name, value in names)


@lru_cache(maxsize=65_536)
def _window(window: Window, number: int) -> str:
    return f'"window":"{window.value}","start":"{rfc3339(number * WINDOW_MS[window])}",'
