import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.directory_revision import (
    NEVER_CHANGED,
    StoredRevision,
    decode_revision,
    encode_revision,
    moved,
)
from services.keyspace import BUCKETS, directory_bucket

NUMBERS = st.integers(0, 2**53)
REVISIONS = st.builds(StoredRevision, NUMBERS, NUMBERS, NUMBERS, NUMBERS, NUMBERS, st.integers(0, 2**BUCKETS - 1))


@given(REVISIONS)
def test_a_revision_is_read_as_it_was_written(revision: StoredRevision) -> None:
    assert decode_revision(encode_revision(revision).encode()) == revision


def test_what_is_not_there_was_never_changed() -> None:
    assert decode_revision(None) == NEVER_CHANGED == StoredRevision(0, 0, 0, 0, 0, 0)


@pytest.mark.parametrize("value", [b"", b"1,2,3,4,5", b"1,2,3,4,5,x", b"1,2,3,4,5,6,7"])
def test_what_is_no_revision_is_refused(value: bytes) -> None:
    with pytest.raises(ValueError, match=r"invalid literal|unpack"):
        decode_revision(value)


@given(st.lists(st.tuples(st.text(max_size=3), st.integers(1, 99))))
def test_every_change_counts_and_every_bucket_that_holds_a_record_is_named(changes: list[tuple[str, int]]) -> None:
    revision, held = NEVER_CHANGED, dict[str, int]()
    for offset, (field, size) in enumerate(changes):
        revision = moved(revision, field, before=held.get(field), after=size, offset=offset, broker_ms=10 * offset)
        held[field] = size
    last = max(0, len(changes) - 1)
    assert revision[:5] == (len(changes), len(held), sum(held.values()), last, 10 * last)
    assert list(revision.held_buckets()) == sorted({directory_bucket(field) for field in held})
