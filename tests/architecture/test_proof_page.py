import pytest

from tests.faults.rows_page import PAGE, row_files, with_table

pytestmark = pytest.mark.architecture

ROWS = set(range(1, 42))
"""Of the fault matrix."""


def test_every_row_of_the_fault_matrix_has_a_test_named_after_it() -> None:
    assert {row for row, _ in row_files()} == ROWS


def test_the_table_of_rows_on_the_page_is_current() -> None:
    page = PAGE.read_text()
    assert page == with_table(page), "run: python -m tests.faults.rows_page"
