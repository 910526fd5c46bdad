"""The frames of one partition that wait to be applied, and how many of them go together.

The more frames wait, the more are folded together; when caught up each is handed out at once.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from aggregator.errors import LostWrites
from aggregator.lull import Lull
from services.clock import now_ms
from services.frames import Frame, WrongFrame, decode_frame
from services.identifiers import FrameOffset, PartitionId
from services.lifecycle import Refused
from services.trace_context import CarriedTrace

QUEUE_FRAMES: Final = 64
QUEUE_CALLS: Final = 2
"""Frames, or as many as fill so many calls, that wait for one partition before its log is read no further."""

BEHIND_MS: Final = 5_000
"""Age of what ingest has just read from which on the whole pipeline is catching up, and throughput beats latency."""

PATIENCE_S: Final = 2.0
"""How long a partition then waits for a full call."""

_FIRST_GUESS_ITEMS: Final = 4.0
"""Ids and cells an event brings, before the first run has shown it."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A frame in the queue. `done` is called when it is applied; `traces` are those that its record carries."""

    offset: FrameOffset
    frame: Frame
    done: Callable[[], object]
    traces: Sequence[CarriedTrace] = ()


class FrameQueue:
    """Takes frames in the order of the log and hands them out in runs.

    Args:
        expected: offset of the first frame.
        fingerprint: of the identity secret that the counters were made with.
        max_items: ids and cells that one script call may hold.
        lull: shared by the queues of a worker.
    """

    def __init__(
        self, partition: PartitionId, expected: FrameOffset, fingerprint: str, max_items: int, lull: Lull
    ) -> None:
        self._partition = partition
        self.expected = expected
        """Offset of the next frame to come, or of the bytes that `take` raises for."""
        self._fingerprint = fingerprint
        self._max_items = max_items
        self._lull = lull
        self._queue: deque[Waiting] = deque()
        self._changed = asyncio.Condition()
        self._released = False
        self._hurried = False
        self._wrong: Exception | None = None
        self.items_an_event = _FIRST_GUESS_ITEMS
        """Ids and cells that an event brought lately."""

    @property
    def holds_a_call(self) -> bool:
        """Whether as many frames wait as go together."""
        return self._calls() >= 1

    @property
    def is_empty(self) -> bool:
        return not self._queue

    async def offer(
        self,
        offset: FrameOffset,
        value: bytes | None,
        done: Callable[[], object],
        traces: Sequence[CarriedTrace] = (),
    ) -> None:
        """Take over the next frame of the log; waits while the queue is full.

        A frame that was offered before is done at once; one that waits when the partition is released is dropped, and
        so is what comes behind bytes that are no frame.

        Raises:
            LostWrites: a frame between the last one and this is missing.
        """
        if self._wrong is not None:
            return
        if offset < self.expected:
            done()
            return
        if offset > self.expected:
            raise LostWrites(
                f"partition {self._partition}: frame {offset} came where {self.expected} was expected; restarting"
                " reads on from what Redis holds"
            )
        try:
            frame = self._decode(offset, value)
        except Exception as error:  # noqa: BLE001  (raised by `take` in its turn, a bug of ours like a refusal)
            await self._end_with(error)
            return
        async with self._changed:
            await self._changed.wait_for(lambda: self._released or not self._is_full())
            if self._released:
                return
            self._hurried = False
            self._queue.append(Waiting(offset, frame, done, traces))
            self._lull.frame_came()
            self.expected = FrameOffset(offset + 1)
            self._changed.notify_all()

    async def hurry(self) -> None:
        """Say that no more is coming for now: what waits is handed out without waiting for a full call."""
        async with self._changed:
            self._hurried = True
            self._changed.notify_all()

    async def release(self) -> None:
        """Take nothing any more, and let go who waits in `offer`: the next assignment reads these frames again."""
        async with self._changed:
            self._released = True
            self._changed.notify_all()

    async def take(self) -> list[Waiting]:
        """Wait for frames and return those that go together, at least one.

        Raises:
            Refused: the next bytes are not a frame that this aggregator reads, or were made with another secret.
                All frames before them were taken.
        """
        async with self._changed:
            await self._changed.wait_for(lambda: bool(self._queue) or self._wrong is not None)
            if not self._queue:
                assert self._wrong is not None
                raise self._wrong
            if _is_behind(self._queue[-1].frame):
                await self._until_full()
        await self._lull.wait()
        async with self._changed:
            taken = self._take()
            self._changed.notify_all()
            return taken

    async def _end_with(self, error: Exception) -> None:
        async with self._changed:
            self._wrong = error
            self._changed.notify_all()

    async def _until_full(self) -> None:
        """Wait for more to fold together, as long as it does not matter when; holds the condition's lock."""

        def is_full() -> bool:
            return (
                len(self._queue) == QUEUE_FRAMES
                or self._wrong is not None
                or self._hurried
                or self.holds_a_call
                or not _is_behind(self._queue[-1].frame)
            )

        with suppress(TimeoutError):
            await asyncio.wait_for(self._changed.wait_for(is_full), PATIENCE_S)

    def _is_full(self) -> bool:
        return len(self._queue) >= QUEUE_FRAMES or self._calls() >= QUEUE_CALLS

    def _calls(self) -> float:
        """Return how many calls the waiting frames fill."""
        return sum(_events(each) for each in self._queue) * self.items_an_event / self._max_items

    def _take(self) -> list[Waiting]:
        """Return the frames that fit one call, at least one, by what an event brought lately."""
        room = self._max_items / self.items_an_event
        taken = [self._queue.popleft()]
        room -= _events(taken[0])
        while self._queue and _events(self._queue[0]) <= room:
            taken.append(self._queue.popleft())
            room -= _events(taken[-1])
        return taken

    def _decode(self, offset: FrameOffset, value: bytes | None) -> Frame:
        try:
            frame = decode_frame(value)
        except WrongFrame as error:
            raise Refused(f"partition {self._partition}, offset {offset}: {error}") from error
        if frame.header.fingerprint != self._fingerprint:
            raise Refused(
                f"partition {self._partition}, offset {offset}: the frame was made with another"
                " events.identity_secret; give ingest and aggregator the secret that the counters were made with"
            )
        return frame


def _events(waiting: Waiting) -> int:
    """Return how many events a frame brings, of usage and of the directory."""
    return waiting.frame.event_count + len(waiting.frame.directory)


def _is_behind(frame: Frame) -> bool:
    """Return whether the frame's writer reads records that came long ago."""
    times = [source.read_up_to_ms for source in frame.header.sources if source.read_up_to_ms is not None]
    return bool(times) and now_ms() - min(times) > BEHIND_MS
