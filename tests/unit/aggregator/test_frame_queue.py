"""The queue hands out as many frames as one call holds, by what their events brought lately."""

import pytest

from aggregator.frame_queue import FrameQueue
from services.identifiers import FrameOffset, PartitionId
from tests.support.log_of_frames import DIRECTORY, FINGERPRINT, TopicReader
from tests.unit.ingest.directory_events import directory_event
from tests.unit.ingest.good_events import compact, event

BROKER_MS = 3 * 10**12
CALL_ITEMS = 10


@pytest.mark.parametrize(("topic", "value"), [("events", event()), (DIRECTORY, directory_event())])
@pytest.mark.parametrize(
    ("items_an_event", "together"), [(1.0, [5, 5, 2]), (2.0, [2, 2, 2, 2, 2, 2]), (50.0, [1] * 12)]
)
async def test_frames_go_together_as_far_as_one_call_holds_their_events(
    topic: str, value: object, items_an_event: float, together: list[int]
) -> None:
    queue = FrameQueue(PartitionId(0), FrameOffset(0), FINGERPRINT, CALL_ITEMS)
    queue.items_an_event = items_an_event
    [frames] = TopicReader(1, first_ms=BROKER_MS, frame_events=2).read_all([(topic, compact(value))] * 24, [])
    assert len(frames) == 12
    for offset, frame in enumerate(frames):
        await queue.offer(FrameOffset(offset), frame, lambda: None)
    assert [len(await queue.take()) for _ in together] == together
