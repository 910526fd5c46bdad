"""Two exports side by side: which cells differ, and in what. Standard library only, like the oracle."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

Row = dict[str, Any]

EXAMPLES_MAX: Final = 20


@dataclass(slots=True)
class Comparison:
    """How two exports differ; `examples` holds the first few differing cells as text."""

    cells: int = 0
    differing: int = 0
    examples: list[str] = field(default_factory=list)

    @property
    def equal(self) -> bool:
        return self.differing == 0

    def __str__(self) -> str:
        return "\n".join([f"{self.cells} cells compared, {self.differing} different", *self.examples])

    def note(self, text: str) -> None:
        self.differing += 1
        if len(self.examples) < EXAMPLES_MAX:
            self.examples.append(text)


def row_order(row: Mapping[str, Any]) -> tuple[str, str, str, str, str]:
    """Return the sort key of a row; null comes first since no id is empty."""
    return row["organization"], row["team"] or "", row["user"] or "", row["window"], row["start"]


def compare(found: Iterable[Row], expected: Iterable[Row]) -> Comparison:
    """Compare two ordered exports cell by cell; rows out of order or twice count as different."""
    result = Comparison()
    left, right = _in_order(found, "found", result), _in_order(expected, "expected", result)
    mine, theirs = next(left, None), next(right, None)
    while mine is not None or theirs is not None:
        result.cells += 1
        if theirs is None or (mine is not None and row_order(mine) < row_order(theirs)):
            result.note(f"not expected: {json.dumps(mine, ensure_ascii=False)}")
            mine = next(left, None)
        elif mine is None or row_order(theirs) < row_order(mine):
            result.note(f"missing: {json.dumps(theirs, ensure_ascii=False)}")
            theirs = next(right, None)
        else:
            if mine != theirs:
                result.note(_difference(mine, theirs))
            mine, theirs = next(left, None), next(right, None)
    return result


def _in_order(rows: Iterable[Row], name: str, result: Comparison) -> Iterator[Row]:
    previous: tuple[str, ...] | None = None
    for row in rows:
        if previous is not None and row_order(row) <= previous:
            result.note(f"{name} out of order: {row_order(row)} after {previous}")
        previous = row_order(row)
        yield row


def _difference(mine: Row, theirs: Row) -> str:
    flat_mine, flat_theirs = dict(_flat(mine)), dict(_flat(theirs))
    names = [name for name in flat_mine | flat_theirs if flat_mine.get(name) != flat_theirs.get(name)]
    parts = (f"{name} {flat_mine.get(name)} instead of {flat_theirs.get(name)}" for name in names)
    return f"{' '.join(part or '-' for part in row_order(mine))}: {', '.join(parts)}"


def _flat(value: Row, path: str = "") -> Iterator[tuple[str, Any]]:
    for name, inner in value.items():
        if isinstance(inner, dict):
            yield from _flat(inner, f"{path}{name}.")
        else:
            yield f"{path}{name}", inner
