"""The queue hands out as many frames as one call holds, by what their events brought lately."""

import asyncio
from collections.abc import Sequence

import pytest

from aggregator.frame_queue import FrameQueue
from aggregator.lull import Lull
from services.identifiers import FrameOffset, PartitionId
from services.lifecycle import Refused
from tests.support.log_of_frames import DIRECTORY, FINGERPRINT, TopicReader
from tests.unit.ingest.directory_events import directory_event
from tests.unit.ingest.good_events import compact, event

PARTITION = PartitionId(0)
BROKER_MS = 3 * 10**12
CALL_ITEMS = 10


@pytest.mark.parametrize(("topic", "value"), [("events", event()), (DIRECTORY, directory_event())])
@pytest.mark.parametrize(
    ("items_an_event", "together"), [(1.0, [5, 5, 2]), (2.0, [2, 2, 2, 2, 2, 2]), (50.0, [1] * 12)]
)
async def test_frames_go_together_as_far_as_one_call_holds_their_events(
    topic: str, value: object, items_an_event: float, together: list[int]
) -> None:
    queue = FrameQueue(PartitionId(0), FrameOffset(0), FINGERPRINT, CALL_ITEMS, Lull())
    queue.items_an_event = items_an_event
    [frames] = TopicReader(1, first_ms=BROKER_MS, frame_events=2).read_all([(topic, compact(value))] * 24, [])
    assert len(frames) == 12
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_offer(queue, frames))
        found = []
        for _ in together:
            await _settle()
            found.append(len(await queue.take()))
    assert found == together


async def test_what_fills_two_calls_waits_and_no_more_of_the_log_is_read() -> None:
    queue = FrameQueue(PARTITION, FrameOffset(0), FINGERPRINT, CALL_ITEMS, Lull())
    queue.items_an_event = 1.0
    [frames] = TopicReader(1, first_ms=BROKER_MS, frame_events=2).read_all([("events", compact(event()))] * 30, [])
    async with asyncio.TaskGroup() as tasks:
        offering = tasks.create_task(_offer(queue, frames))
        await _settle()
        assert queue.expected == 10
        assert len(await queue.take()) == 5
        await _settle()
        assert queue.expected == 15
        assert offering.done()


async def test_of_old_frames_no_more_are_waited_for_once_no_more_are_coming(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aggregator.frame_queue.PATIENCE_S", 60.0)
    queue = FrameQueue(PARTITION, FrameOffset(0), FINGERPRINT, CALL_ITEMS, Lull())
    [frames] = TopicReader(1, first_ms=10**12, frame_events=2).read_all([("events", compact(event()))] * 2, [])
    async with asyncio.timeout(30):
        await _offer(queue, frames)
        taking = asyncio.create_task(queue.take())
        await _settle()
        assert not taking.done(), "an old frame waits for others"
        await queue.hurry()
        assert len(await taking) == 1


async def _offer(queue: FrameQueue, frames: Sequence[bytes]) -> None:
    for offset, frame in enumerate(frames):
        await queue.offer(FrameOffset(offset), frame, lambda: None)


async def _settle() -> None:
    """Let everybody go on as far as he can."""
    for _ in range(100):
        await asyncio.sleep(0)


async def test_bytes_that_are_no_frame_are_told_once_all_before_them_are_taken() -> None:
    queue = FrameQueue(PARTITION, FrameOffset(0), FINGERPRINT, CALL_ITEMS, Lull())
    queue.items_an_event = 1.0
    [frames] = TopicReader(1, first_ms=BROKER_MS, frame_events=2).read_all([("events", compact(event()))] * 4, [])
    for offset, value in enumerate([*frames, b"rubbish", *frames, b"more"]):
        await queue.offer(FrameOffset(offset), value, lambda: None)
    assert len(await queue.take()) == len(frames)
    assert queue.expected == len(frames)
    with pytest.raises(Refused, match=f"offset {len(frames)}: not a frame"):
        await queue.take()


async def test_a_bug_in_decoding_is_told_like_one_in_folding(monkeypatch: pytest.MonkeyPatch) -> None:
    def decode(_: bytes) -> None:
        raise AttributeError

    monkeypatch.setattr("aggregator.frame_queue.decode_frame", decode)
    queue = FrameQueue(PARTITION, FrameOffset(3), FINGERPRINT, CALL_ITEMS, Lull())
    await queue.offer(FrameOffset(3), b"", lambda: None)
    with pytest.raises(AttributeError):
        await queue.take()
