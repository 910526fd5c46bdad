"""The table of rows in `deploy/docs/proof.md`, made from the files of `tests/faults`.

`python -m tests.faults.rows_page` brings it up to date; a test fails when it is not.
"""

import ast
import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "deploy" / "docs" / "proof.md"
BEGIN = "<!-- rows: made by python -m tests.faults.rows_page -->"
END = "<!-- end of rows -->"

_NAME = re.compile(r"test_row_(\d\d)_\w+\.py")
_SAYS = re.compile(r"Row (\d+): ")


def row_files() -> list[tuple[int, Path]]:
    """Return (row, test file) in the order of the rows."""
    found = [(match, path) for path in Path(__file__).parent.glob("test_*.py") if (match := _NAME.fullmatch(path.name))]
    return sorted((int(match[1]), path) for match, path in found)


def what_it_says(row: int, path: Path) -> str:
    """Return the first line of a row's test, without the number.

    Raises:
        ValueError: it names another row, or none.
    """
    first = (ast.get_docstring(ast.parse(path.read_text())) or "").partition("\n")[0]
    said = _SAYS.match(first)
    if said is None or int(said[1]) != row:
        raise ValueError(f"the docstring of {path.name} must begin with 'Row {row}: '")
    return first[said.end() :]


def table() -> str:
    """Return the table between its marks, which lie on lines of their own."""
    rows = [f"| {row} | {what_it_says(row, path)} | `tests/faults/{path.name}` |" for row, path in row_files()]
    return "\n".join([BEGIN, "", "| row | what the test shows | test |", "| --- | --- | --- |", *rows, "", END])


def with_table(page: str) -> str:
    """Return the page with its table made anew."""
    before, _, rest = page.partition(BEGIN)
    return before + table() + rest.partition(END)[2]


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text()))
