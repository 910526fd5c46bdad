import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from query_api import finished_blocks
from query_api.cells import BlockCells, RawBlock, block_cells
from query_api.finished_blocks import BITMAP_BYTES_MAX, BLOCKS_REMEMBERED, FinishedBlocks
from query_api.ranges import PlannedBlock
from query_api.usage import usage_blocks
from services.counter_codec import pack
from services.metrics_contract import PRODUCTS

DAY = PlannedBlock(start_hour=0, end_hour=24)
NEXT_DAY = PlannedBlock(start_hour=24, end_hour=48)
TWO_DAYS = PlannedBlock(start_hour=0, end_hour=48)


def raw(amount: int, *, windows: int = 1, bitmap: bytes = b"\x07") -> RawBlock:
    rows = np.full((1, 9), amount, dtype=np.int64)
    counters = [pack(rows, len(product.counters))[0] for product in PRODUCTS]
    return tuple(counters * windows), (bitmap,) * (len(PRODUCTS) * windows)


def made_anew(planned: list[PlannedBlock], blocks: list[RawBlock]) -> list[bytes]:
    return [msgspec.json.encode(members) for members in usage_blocks(planned, block_cells(blocks))]


@pytest.fixture
def makings(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many blocks were made each time that any were."""
    found: list[int] = []

    def counting(blocks: list[RawBlock]) -> BlockCells:
        found.append(len(blocks))
        return block_cells(blocks)

    monkeypatch.setattr(finished_blocks, "block_cells", counting)
    return found


def test_a_block_is_made_once_and_again_when_anything_of_it_is_another(makings: list[int]) -> None:
    finished = FinishedBlocks()
    first = finished.of([DAY, NEXT_DAY], [raw(1), raw(2)])
    assert finished.of([DAY, NEXT_DAY], [raw(1), raw(2)]) == first == made_anew([DAY, NEXT_DAY], [raw(1), raw(2)])
    assert makings == [2]
    for planned, block in ((NEXT_DAY, raw(1)), (DAY, raw(3)), (DAY, raw(1, bitmap=b"\x01")), (DAY, raw(1, bitmap=b""))):
        assert finished.of([planned], [block]) == made_anew([planned], [block])
    assert makings == [2, 1, 1, 1, 1]


def test_users_and_organizations_with_the_same_counters_are_not_taken_for_each_other() -> None:
    finished = FinishedBlocks()
    counters, bitmaps = raw(1, bitmap=b"\x00")
    [of_user] = finished.of([DAY], [(counters, ())])
    [of_organization] = finished.of([DAY], [(counters, bitmaps)])
    assert msgspec.json.decode(of_user)["activeUsers"] == 1
    assert msgspec.json.decode(of_organization)["activeUsers"] == 0


@pytest.mark.parametrize(
    ("planned", "block"), [(TWO_DAYS, raw(1, windows=2)), (DAY, raw(1, bitmap=bytes(BITMAP_BYTES_MAX + 1)))]
)
def test_what_would_weigh_much_is_made_each_time(makings: list[int], planned: PlannedBlock, block: RawBlock) -> None:
    finished = FinishedBlocks()
    assert finished.of([planned], [block]) == finished.of([planned], [block]) == made_anew([planned], [block])
    assert makings == [1, 1]


def test_the_block_that_was_made_first_goes_when_there_is_no_room(makings: list[int]) -> None:
    finished = FinishedBlocks()
    days = [PlannedBlock(start_hour=24 * day, end_hour=24 * (day + 1)) for day in range(BLOCKS_REMEMBERED + 1)]
    finished.of(days, [raw(1)] * len(days))
    finished.of(days[1:], [raw(1)] * BLOCKS_REMEMBERED)
    assert makings == [len(days)]
    finished.of(days[:1], [raw(1)])
    assert makings == [len(days), 1]


@given(st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=5), min_size=1, max_size=5))
def test_whatever_is_remembered_the_blocks_are_those_made_anew(requests: list[list[int]]) -> None:
    finished = FinishedBlocks()
    for amounts in requests:
        planned = [PlannedBlock(start_hour=24 * at, end_hour=24 * (at + 1)) for at in range(len(amounts))]
        blocks = [raw(amount, bitmap=bytes([amount])) for amount in amounts]
        assert finished.of(planned, blocks) == made_anew(planned, blocks)
