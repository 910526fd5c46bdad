"""Cuts a list into pages by offset and limit. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

Row = TypeVar("Row")
Other = TypeVar("Other")

PAGE_MAX: Final = 1_000
"""Most rows of a page; a limit of 0 asks for it (contract notes A01)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[Row]):
    """Some rows of many.

    Attributes:
        total: rows of all pages.
        next_offset: where the following page begins; None on the last one, and beyond it.
        limit: most rows that this page could have had.
    """

    rows: Sequence[Row]
    total: int
    next_offset: int | None
    limit: int

    def of(self, make: Callable[[Row], Other]) -> tuple[Other, ...]:
        """Return the page's rows as something else."""
        return tuple(map(make, self.rows))


def page_of(rows: Sequence[Row], *, offset: int, limit: int) -> Page[Row]:
    """Return the page that begins at an offset; `limit` is at most `PAGE_MAX`, and 0 means just that."""
    limit = limit or PAGE_MAX
    end = offset + limit
    return Page(rows=rows[offset:end], total=len(rows), next_offset=end if end < len(rows) else None, limit=limit)
