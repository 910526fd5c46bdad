from hypothesis import given
from hypothesis import strategies as st

from query_api.paging import PAGE_MAX, page_of


@given(total=st.integers(0, 60), limit=st.integers(0, 70))
def test_following_next_visits_every_row_once_and_in_order(total: int, limit: int) -> None:
    rows, seen, offset, pages = list(range(total)), list[int](), 0, 0
    while True:
        page = page_of(rows, offset=offset, limit=limit)
        seen += page.rows
        pages += 1
        if page.next_offset is None:
            break
        assert page.next_offset == offset + len(page.rows)
        offset, limit = page.next_offset, page.limit
    assert seen == rows
    assert pages == max(1, -(-total // (limit or PAGE_MAX)))


@given(total=st.integers(0, 60), offset=st.integers(0, 10**30), limit=st.integers(0, PAGE_MAX))
def test_a_page_counts_its_rows_among_all(total: int, offset: int, limit: int) -> None:
    page = page_of(range(total), offset=offset, limit=limit)
    assert list(page.rows) == [row for row in range(total) if row >= offset][: limit or PAGE_MAX]
    assert page.total == total
    assert (page.next_offset is None) == (offset + len(page.rows) >= total)


def test_no_limit_is_the_most_there_can_be_and_next_says_so() -> None:
    page = page_of(range(PAGE_MAX + 1), offset=0, limit=0)
    assert (len(page.rows), page.next_offset, page.limit) == (PAGE_MAX, PAGE_MAX, PAGE_MAX)
