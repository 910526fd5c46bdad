"""The last applied frame, read again: the log goes on with it, or is not the one that the counters were made from."""

from collections.abc import Mapping

import pytest

from aggregator.errors import LogDiverged
from aggregator.log_probe import LogProbe
from services.counters import PartitionState
from services.identifiers import Epoch, FrameId, FrameOffset, PartitionId
from services.lifecycle import Refused

PARTITION = PartitionId(0)
STATE = PartitionState(
    epoch=Epoch(1), applied_offset=FrameOffset(4), frame_id=FrameId(9), partitions=1, fingerprint="f"
)


class HeldLog(LogProbe):
    """A log of which the ids of some frames are given; what stands elsewhere is no frame."""

    def __init__(self, ids: Mapping[int, int]) -> None:
        self._topic = "usage.frames"
        self._ids = ids

    async def frame_id(self, partition: PartitionId, offset: FrameOffset) -> FrameId | None:
        held = self._ids.get(offset)
        return None if held is None else FrameId(held)


@pytest.mark.parametrize("bounds", [(0, 5), (0, 9), (4, 9)])
async def test_a_log_with_the_applied_frame_goes_on(bounds: tuple[int, int]) -> None:
    await HeldLog({4: 9}).check(PARTITION, STATE, bounds)


async def test_a_log_that_begins_right_after_the_applied_frame_goes_on() -> None:
    await HeldLog({}).check(PARTITION, STATE, (5, 9))


async def test_another_frame_where_the_applied_one_stood_is_another_log() -> None:
    with pytest.raises(LogDiverged, match=r"log_diverged: .* has another frame at offset 4 "):
        await HeldLog({4: 10}).check(PARTITION, STATE, (0, 9))


async def test_what_is_no_frame_where_the_applied_one_stood_is_another_log() -> None:
    with pytest.raises(LogDiverged, match="log_diverged"):
        await HeldLog({}).check(PARTITION, STATE, (0, 9))


async def test_a_log_that_ends_before_the_applied_frame_lost_its_tail() -> None:
    with pytest.raises(LogDiverged, match=r"log_diverged: .* ends at offset 3"):
        await HeldLog({}).check(PARTITION, STATE, (0, 3))


async def test_an_end_that_is_named_too_low_is_not_believed_when_the_frame_is_there() -> None:
    await HeldLog({4: 9}).check(PARTITION, STATE, (0, 3))


async def test_frames_that_are_gone_before_they_were_applied_are_a_gap_that_nothing_fills() -> None:
    with pytest.raises(Refused, match="unrecoverable_gap"):
        await HeldLog({}).check(PARTITION, STATE, (6, 9))
