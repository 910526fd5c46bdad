"""The last applied frame, read again: the log goes on with it, or is not the one that the counters were made from."""

import asyncio
from collections.abc import Mapping, Sequence
from types import SimpleNamespace

import pytest
from aiokafka import TopicPartition

from aggregator.errors import LogDiverged
from aggregator.log_probe import LogProbe
from services.counters import PartitionState
from services.frames import decode_frame
from services.identifiers import Epoch, FrameOffset, PartitionId
from services.lifecycle import Refused
from services.settings import Settings
from tests.support.log_of_frames import FakeRecord, FrameMaker
from tests.support.written_frames import newer_frame

PARTITION = PartitionId(0)
MAKER = FrameMaker(1)
[APPLIED], [OTHER] = MAKER.poll({0: []})[0], MAKER.poll({0: []})[0]
STATE = PartitionState(
    epoch=Epoch(1),
    applied_offset=FrameOffset(4),
    frame_id=decode_frame(APPLIED).frame_id,
    partitions=1,
    fingerprint="f",
)


class OneRead:
    """A consumer that is asked for one record at a time, and gives the next one where there is none."""

    def __init__(self, held: Mapping[int, bytes]) -> None:
        self._held = held
        self._at = 0

    def assign(self, partitions: Sequence[TopicPartition]) -> None:
        return

    def unsubscribe(self) -> None:
        return

    def seek(self, partition: TopicPartition, offset: int) -> None:
        self._at = offset

    async def getone(self, partition: TopicPartition) -> FakeRecord:
        offset = min(held for held in self._held if held >= self._at)
        return FakeRecord(offset=offset, timestamp=0, value=self._held[offset])


class HeldLog(LogProbe):
    """A log whose records are given by offset."""

    def __init__(self, held: Mapping[int, bytes]) -> None:
        self._consumer = OneRead(held)
        self._topic = "usage.frames"
        self._lock = asyncio.Lock()


@pytest.mark.parametrize("bounds", [(0, 5), (0, 9), (4, 9)])
async def test_a_log_with_the_applied_frame_goes_on(bounds: tuple[int, int]) -> None:
    await HeldLog({4: APPLIED}).check(PARTITION, STATE, bounds)


async def test_a_log_that_begins_right_after_the_applied_frame_goes_on() -> None:
    await HeldLog({}).check(PARTITION, STATE, (5, 9))


@pytest.mark.parametrize("end", [9, 3])
async def test_an_applied_frame_of_another_release_is_no_other_log(end: int) -> None:
    """After a downgrade the log goes on with what the newer aggregator applied: `tidemark rebuild` mends nothing."""
    with pytest.raises(Refused, match=r"partition 0, offset 4: a frame of version .* install Tidemark 9\.9\.0") as why:
        await HeldLog({4: newer_frame(Settings())}).check(PARTITION, STATE, (0, end))
    assert not isinstance(why.value, LogDiverged)


@pytest.mark.parametrize("held", [{4: OTHER}, {4: b"rubbish"}, {5: APPLIED}])
async def test_another_frame_or_none_where_the_applied_one_stood_is_another_log(held: Mapping[int, bytes]) -> None:
    with pytest.raises(LogDiverged, match=r"log_diverged: .* has another frame at offset 4 "):
        await HeldLog(held).check(PARTITION, STATE, (0, 9))


async def test_a_log_that_ends_before_the_applied_frame_lost_its_tail() -> None:
    with pytest.raises(LogDiverged, match=r"log_diverged: .* ends at offset 3"):
        await HeldLog({4: OTHER}).check(PARTITION, STATE, (0, 3))


async def test_an_end_that_is_named_too_low_is_not_believed_when_the_frame_is_there() -> None:
    await HeldLog({4: APPLIED}).check(PARTITION, STATE, (0, 3))


async def test_frames_that_are_gone_before_they_were_applied_are_a_gap_that_nothing_fills() -> None:
    with pytest.raises(Refused, match="unrecoverable_gap"):
        await HeldLog({}).check(PARTITION, STATE, (6, 9))


async def test_a_client_that_no_longer_follows_the_cluster_ends_the_worker() -> None:
    async def ended() -> None:
        raise OSError("hung up")

    task = asyncio.ensure_future(ended())
    await asyncio.wait([task])
    log = HeldLog({})
    log._consumer._client = SimpleNamespace(_sync_task=task)
    with pytest.raises(Refused, match=r"no longer follows the cluster.*hung up"):
        await log.bounds([PARTITION])
