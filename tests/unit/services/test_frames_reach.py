"""Whether the frames reach back to what a Redis has applied: by offsets, at both edges."""

import pytest

from services.frames_reach import PartitionReach, Verdict

DAY_MS = 86_400_000


def reach_of(applied: int | None, first: int, end: int, next_ms: int | None = None) -> PartitionReach:
    return PartitionReach(partition=3, applied=applied, first=first, end=end, next_ms=next_ms)


@pytest.mark.parametrize(
    ("applied", "first", "end", "verdict", "waiting"),
    [
        (9, 10, 20, Verdict.REACHES, 10),
        (8, 10, 20, Verdict.GONE, 10),
        (19, 0, 20, Verdict.REACHES, 0),
        (20, 0, 20, Verdict.OTHER_LOG, 0),
        (19, 20, 20, Verdict.REACHES, 0),
        (18, 20, 20, Verdict.GONE, 0),
        (None, 0, 5, Verdict.REACHES, 5),
        (None, 0, 0, Verdict.REACHES, 0),
        (None, 1, 5, Verdict.GONE, 4),
    ],
)
def test_the_frame_after_the_applied_one_decides(
    applied: int | None, first: int, end: int, verdict: Verdict, waiting: int
) -> None:
    row = reach_of(applied, first, end)
    assert (row.verdict, row.waiting) == (verdict, waiting)
    assert bool(row.sentence()) == (verdict is not Verdict.REACHES)


def test_it_says_until_when_the_next_frame_is_kept_and_nothing_where_none_waits() -> None:
    assert reach_of(9, 10, 20, next_ms=DAY_MS).until_ms(35 * 86_400) == 36 * DAY_MS
    assert reach_of(19, 10, 20).until_ms(35 * 86_400) is None


def test_the_sentences_name_partition_offsets_and_remedy() -> None:
    assert reach_of(4, 9, 20).sentence() == (
        "partition 3: this Redis holds frames up to 4, and the log begins at 9: what lies between is gone; restore a"
        " younger backup"
    )
    assert "this Redis holds nothing, and the log begins at 9" in reach_of(None, 9, 20).sentence()
    assert "frames up to 30, and the log only up to 19" in reach_of(30, 9, 20).sentence()
