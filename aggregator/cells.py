"""Cells: one row a (scope, window, product), laid out as the groups that the counter store reads and writes. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from aggregator.rows import is_new
from services.frames import Column
from services.keyspace import FIELDS_MAX
from services.metrics_contract import PRODUCTS
from services.windows import HOURS_PER_DAY, Window

EXPIRY_MAX_S: Final = 2**43
"""Some 280,000 years; what Redis takes in milliseconds is far above."""

_FIELD_NAMES: Final = [str(number).encode() for number in range(FIELDS_MAX)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cells:
    """Cells of one kind of scope and window, in the order of scope, number and product.

    Attributes:
        window: hour or day.
        scopes: (rows,) place of each cell's scope in a list of scope parts (`services.keyspace.scope_part`).
        numbers: (rows,) number of the hour or day.
        products: (rows,) product codes.
    """

    window: Window
    scopes: Column
    numbers: Column
    products: Column

    def __len__(self) -> int:
        return len(self.scopes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Where cells lie in the store: one group a hash, rows of a group next to each other.

    Attributes:
        bounds: (groups + 1,) where each group begins.
        scopes, periods: (groups,) of each group.
        groups: (rows,) each cell's group.
        fields: (rows,) field of each cell.
    """

    bounds: Sequence[int]
    scopes: Sequence[int]
    periods: Sequence[int]
    groups: Sequence[int]
    fields: Sequence[bytes]

    def keys(self, prefix: str, kind: str, parts: Sequence[str]) -> list[str]:
        """Return each group's key; `parts` are what `Cells.scopes` points to."""
        head, ends = f"{prefix}{kind}:", {period: f"/{period}" for period in set(self.periods)}
        return [f"{head}{parts[scope]}{ends[period]}" for scope, period in zip(self.scopes, self.periods, strict=True)]

    def values(self, hashes: Sequence[Mapping[bytes, bytes]]) -> list[bytes | None]:
        """Return each cell's value; `hashes` are the groups' as they stand."""
        return [hashes[group].get(field) for group, field in zip(self.groups, self.fields, strict=True)]

    def write_groups(self, keys: Sequence[str], values: Sequence[bytes]) -> list[list[str | bytes]]:
        """Return (key, field, value, …) groups."""
        if len(keys) == len(values):
            return [list(group) for group in zip(keys, self.fields, values, strict=True)]
        entries: list[str | bytes] = [b""] * (2 * len(values))
        entries[0::2] = self.fields
        entries[1::2] = values
        bounds = self.bounds
        return [[key, *entries[2 * bounds[at] : 2 * bounds[at + 1]]] for at, key in enumerate(keys)]


def lay_out(cells: Cells) -> Layout:
    periods, places = periods_and_places(cells.window, cells.numbers)
    new = is_new(cells.scopes, periods)
    starts = new.nonzero()[0]
    numbers = places * len(PRODUCTS) + cells.products
    return Layout(
        bounds=[*starts.tolist(), len(cells)],
        scopes=cells.scopes[starts].tolist(),
        periods=periods[starts].tolist(),
        groups=(new.cumsum() - 1).tolist(),
        fields=[_FIELD_NAMES[number] for number in numbers.tolist()],
    )


def periods_and_places(window: Window, numbers: Column) -> tuple[Column, Column]:
    """Return the day or month that each hour or day lies in, and its place there (`services.keyspace`)."""
    match window:
        case Window.HOUR:
            return numbers // HOURS_PER_DAY, numbers % HOURS_PER_DAY
        case Window.DAY:
            days = numbers.astype("datetime64[D]")
            months = days.astype("datetime64[M]")
            return months.astype(np.int64), (days - months.astype("datetime64[D]")).astype(np.int64)


def expiry_s(window: Window, periods: Sequence[int], keep_s: float | None) -> list[int]:
    """Return the UNIX second at which each period's hash ends, its last window's end and the keep time; 0: never."""
    if keep_s is None:
        return [0] * len(periods)
    few = sorted(set(periods))
    ends = np.array(few, dtype=np.int64) + 1
    days = ends if window is Window.HOUR else ends.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
    # Redis refuses a time beyond its clock, and would in the middle of a run; no event of ingest's has one.
    seconds = np.minimum(np.maximum(days * 86_400 + round(keep_s), 1), EXPIRY_MAX_S)
    end_of = dict(zip(few, seconds.tolist(), strict=True))
    return [end_of[period] for period in periods]
