"""Users of one epoch's bitmaps in another epoch's ordinals."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.carried_users import OrdinalMap
from services.keyspace import COUNT_FIELD

pytestmark = pytest.mark.unit

NAMES = [b"ann", b"bob", b"cem", b"dan", b"eva", b"fay"]


def index_of(names: list[bytes], count: int | None = None) -> dict[bytes, bytes]:
    return {name: b"%d" % at for at, name in enumerate(names)} | {COUNT_FIELD: b"%d" % (count or len(names))}


def bitmap_of(ordinals: list[int]) -> bytes:
    bits = np.zeros(max(ordinals, default=0) + 1, dtype=np.uint8)
    bits[ordinals] = 1
    return np.packbits(bits, bitorder="little").tobytes()


def ordinals_of(bitmap: bytes) -> list[int]:
    bits = np.unpackbits(np.frombuffer(bitmap, dtype=np.uint8), bitorder="little")
    return [int(bit) for bit in np.flatnonzero(bits)]


@given(st.permutations(NAMES), st.permutations(NAMES), st.integers(0, 6), st.sets(st.integers(0, 5)))
def test_bits_stand_for_the_same_users_and_nobody_shares_an_ordinal(
    live: list[bytes], known: list[bytes], size: int, active: set[int]
) -> None:
    shadow = index_of(known[:size])
    ordinals = OrdinalMap()
    ordinals.take(index_of(live), shadow)
    translated = ordinals.translated(bitmap_of(sorted(active))) if active else b""
    after = shadow | dict(ordinals.added())
    names = {int(ordinal): name for name, ordinal in after.items() if name != COUNT_FIELD}
    assert {names[ordinal] for ordinal in ordinals_of(translated)} == {live[ordinal] for ordinal in active}
    assert sorted(names) == list(range(6))
    assert after[COUNT_FIELD] == b"6"


def test_a_bit_whose_user_is_known_no_more_stays_one_user_in_every_bitmap() -> None:
    live = index_of([b"ann", b"bob"])
    del live[b"bob"]
    ordinals = OrdinalMap()
    ordinals.take(live, index_of([b"cem", b"ann"]))
    first = ordinals.translated(bitmap_of([0, 1]))
    assert ordinals_of(first) == [1, 2]
    assert ordinals.added() == {COUNT_FIELD: b"3"}
    # The shadow has been given a user meanwhile, and the same bit is the same nobody.
    ordinals.take(live, index_of([b"cem", b"ann", b"", b"dan"], 4))
    assert ordinals_of(ordinals.translated(bitmap_of([1]))) == [2]
    assert ordinals.added() == {}
