"""One partition's frames, applied in order: take what waits, fold, apply, until the answer is known.

The more frames wait, the more are folded together; when caught up each is applied at once.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

import structlog

from aggregator.branch import Keeping, Place
from aggregator.dedup import Generation, periods_of, read_period
from aggregator.errors import LostWrites
from aggregator.folding import Fold, Folded
from aggregator.known import Knowledge
from aggregator.retrying import Retrying
from aggregator.run import Run, join
from services.clock import monotonic_s, now_ms
from services.counters import (
    Applied,
    ApplyRequest,
    CounterStore,
    Duplicate,
    Gap,
    PartitionState,
    ReadRequest,
    WrongEpoch,
)
from services.frames import Frame, WrongFrame, decode_frame
from services.identifiers import FrameOffset, PartitionId
from services.keyspace import epoch_prefix, ids_key, slot_prefix
from services.lifecycle import Refused
from services.telemetry import Telemetry

QUEUE_FRAMES: Final = 64
"""Frames that wait for one partition before its log is read no further."""

BEHIND_MS: Final = 5_000
"""Age of what ingest has just read from which on the whole pipeline is catching up, and throughput beats latency."""

PATIENCE_S: Final = 1.0
"""How long a partition then waits for a full call."""

_FIRST_GUESS_ITEMS: Final = 4.0
"""Ids and cells an event brings, before the first run has shown it."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A frame in the queue. `done` is called when it is applied."""

    offset: FrameOffset
    frame: Frame
    done: Callable[[], object]


@dataclass(slots=True)
class _View:
    """What is known of the partition at (epoch, applied offset); thrown away on any doubt."""

    state: PartitionState
    periods: dict[int, tuple[Generation, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """What the appliers of a worker have in common.

    Attributes:
        max_items: ids and cells that one script call may hold.
    """

    store: CounterStore
    keeping: Keeping
    knowledge: Knowledge
    max_items: int
    retrying: Retrying
    telemetry: Telemetry


class PartitionApplier:
    """Owns one partition of `usage.frames` from an assignment to the next.

    Args:
        tag: hash tag of the partition's keys.
        state: what the store held at the assignment.
        shared: the worker's; what its knowledge holds of this partition is forgotten.
    """

    def __init__(self, partition: PartitionId, tag: str, state: PartitionState, shared: Shared) -> None:
        self.partition = partition
        self.acknowledged = state
        self._tag = tag
        self._store = shared.store
        self._keeping = shared.keeping
        self._knowledge = shared.knowledge
        self._max_items = shared.max_items
        self._retrying = shared.retrying
        self._telemetry = shared.telemetry
        self._knowledge.forget(slot_prefix(tag))
        self._view: _View | None = _View(state, {})
        self._expected = FrameOffset(state.applied_offset + 1)
        self._queue: deque[Waiting] = deque()
        self._changed = asyncio.Condition()
        self._released = False
        self._items_an_event = _FIRST_GUESS_ITEMS
        self._log = structlog.get_logger().bind(partition=partition)

    async def offer(self, offset: FrameOffset, value: bytes | None, done: Callable[[], object]) -> None:
        """Take over the next frame of the log; waits while the queue is full.

        A frame that was offered before is done at once; one that waits when the partition is released is dropped.

        Raises:
            LostWrites: a frame between the last one and this is missing.
            Refused: the bytes are not a frame that this aggregator reads, or were made with another secret.
        """
        if offset < self._expected:
            done()
            return
        if offset > self._expected:
            raise LostWrites(
                f"partition {self.partition}: frame {offset} came where {self._expected} was expected; restarting"
                " reads on from what Redis holds"
            )
        frame = self._decode(offset, value)
        async with self._changed:
            await self._changed.wait_for(lambda: self._released or len(self._queue) < QUEUE_FRAMES)
            if self._released:
                return
            self._queue.append(Waiting(offset, frame, done))
            self._expected = FrameOffset(offset + 1)
            self._changed.notify_all()

    async def release(self) -> None:
        """Take nothing any more, and let go who waits in `offer`: the next assignment reads these frames again."""
        async with self._changed:
            self._released = True
            self._changed.notify_all()

    async def run(self) -> None:
        """Apply what is offered, for ever."""
        while True:
            async with self._changed:
                await self._changed.wait_for(lambda: bool(self._queue))
                if _is_behind(self._queue[-1].frame):
                    await self._until_full()
                frames = self._take()
                self._changed.notify_all()
            await self._apply_all(frames)

    async def _until_full(self) -> None:
        """Wait for more to fold together, as long as it does not matter when; holds the condition's lock."""
        room = self._max_items / self._items_an_event

        def is_full() -> bool:
            return len(self._queue) == QUEUE_FRAMES or sum(each.frame.event_count for each in self._queue) >= room

        with suppress(TimeoutError):
            await asyncio.wait_for(self._changed.wait_for(is_full), PATIENCE_S)

    def _take(self) -> list[Waiting]:
        """Return the frames that fit one call, at least one, by what an event brought lately."""
        room = self._max_items / self._items_an_event
        taken = [self._queue.popleft()]
        room -= taken[0].frame.event_count
        while self._queue and self._queue[0].frame.event_count <= room:
            taken.append(self._queue.popleft())
            room -= taken[-1].frame.event_count
        return taken

    def _decode(self, offset: FrameOffset, value: bytes | None) -> Frame:
        try:
            frame = decode_frame(value)
        except WrongFrame as error:
            raise Refused(f"partition {self.partition}, offset {offset}: {error}") from error
        if frame.header.fingerprint != self.acknowledged.fingerprint:
            raise Refused(
                f"partition {self.partition}, offset {offset}: the frame was made with another"
                " events.identity_secret; give ingest and aggregator the secret that the counters were made with"
            )
        return frame

    async def _apply_all(self, frames: Sequence[Waiting]) -> None:
        waiting = list(frames)
        while waiting:
            view = self._view = self._view or await self._load()
            while waiting and waiting[0].offset <= view.state.applied_offset:
                waiting.pop(0).done()
            if not waiting:
                return
            if waiting[0].offset != view.state.applied_offset + 1:
                raise self._lost(view.state)
            fitting = await self._apply_run(view, waiting)
            for done in waiting[:fitting]:
                done.done()
            del waiting[:fitting]

    async def _apply_run(self, view: _View, waiting: Sequence[Waiting]) -> int:
        """Fold and apply as many of the waiting frames as fit one call; return how many were applied."""
        began = monotonic_s()
        held = view.state
        run = join(waiting[0].offset, [each.frame for each in waiting], held.sources, held.source_partitions)
        if not len(run) and not run.ledger:
            return await self._send(view, _progress(run, view), None, run)
        if not await self._know_periods(view, run):
            return 0
        fold = Fold(
            run,
            epoch=view.state.epoch,
            periods=view.periods,
            place=Place(
                prefix=epoch_prefix(self._tag, view.state.epoch),
                keeping=self._keeping,
                knowledge=self._knowledge,
                now_s=now_ms() // 1000,
            ),
        )
        if len(run):
            self._items_an_event = fold.items / len(run)
        if fold.items > self._max_items and len(waiting) > 1:
            return await self._apply_run(view, waiting[: len(waiting) // 2])
        planned = monotonic_s()
        read = await self._retrying(lambda: self._store.read(self.partition, fold.request))
        if not self._still(view, read.state):
            return 0
        answered = monotonic_s()
        folded = fold.finish(read)
        self._telemetry.observe("tidemark_read_seconds", answered - planned)
        self._telemetry.observe("tidemark_fold_seconds", monotonic_s() - answered + planned - began)
        return await self._send(view, folded.request, folded, run)

    async def _send(self, view: _View, request: ApplyRequest, folded: Folded | None, run: Run) -> int:
        """Apply a folded run; the same request again while it is unknown what became of it."""
        began = monotonic_s()
        outcome = await self._retrying(lambda: self._store.apply(self.partition, request))
        self._telemetry.observe("tidemark_apply_seconds", monotonic_s() - began)
        match outcome:
            case Applied():
                self._advance(view, request, folded, run)
                return len(run.frames)
            case Duplicate() | WrongEpoch():
                self._telemetry.count("tidemark_frames_total", len(run.frames), result="duplicate")
                self._log.info("run_was_applied_before", first=request.first, last=request.last)
                self._view = None
                return 0
            case Gap(applied):
                self._telemetry.count("tidemark_frames_total", len(run.frames), result="gap")
                raise self._lost(replace(view.state, applied_offset=applied))

    def _advance(self, view: _View, request: ApplyRequest, folded: Folded | None, run: Run) -> None:
        view.state = self.acknowledged = replace(
            view.state,
            applied_offset=request.last,
            frame_id=request.frame_id,
            source_partitions={**view.state.source_partitions, **request.source_partitions},
            sources={**view.state.sources, **request.sources},
        )
        self._telemetry.set("tidemark_applied_offset", request.last, partition=self.partition)
        self._telemetry.count("tidemark_frames_total", len(run.frames), result="applied")
        if folded is None:
            return
        view.periods.update(folded.periods)
        folded.learn()
        self._knowledge.make_room()
        self._telemetry.observe("tidemark_events_per_call", len(run))
        for result, events in (
            ("counted", folded.counted),
            ("duplicate", folded.duplicates),
            ("redelivered", folded.redelivered),
        ):
            if events:
                self._telemetry.count("tidemark_events_total", events, result=result)
        if folded.saturated:
            self._log.error("counters_saturated", counters=folded.saturated, first=request.first, last=request.last)

    async def _load(self) -> _View:
        state = await self._retrying(lambda: self._store.state(self.partition))
        if state is None or state.applied_offset < self.acknowledged.applied_offset:
            raise self._lost(state)
        self._knowledge.forget(slot_prefix(self._tag))
        return _View(state, {})

    async def _know_periods(self, view: _View, run: Run) -> bool:
        """Read the periods of the dedup index that the run needs; False when the store has moved on meanwhile."""
        missing = sorted(periods_of(run) - view.periods.keys()) if len(run) else []
        if not missing:
            return True
        prefix = epoch_prefix(self._tag, view.state.epoch)
        request = ReadRequest(whole=[ids_key(prefix, period) for period in missing])
        read = await self._retrying(lambda: self._store.read(self.partition, request))
        if not self._still(view, read.state):
            return False
        view.periods.update(zip(missing, map(read_period, read.whole), strict=True))
        return True

    def _still(self, view: _View, state: PartitionState | None) -> bool:
        """Return whether a read belongs to the view; forget the view when it does not."""
        if state is None or state.applied_offset < view.state.applied_offset:
            raise self._lost(state)
        if (state.epoch, state.applied_offset) == (view.state.epoch, view.state.applied_offset):
            return True
        self._view = None
        return False

    def _lost(self, state: PartitionState | None) -> LostWrites:
        self._telemetry.count("tidemark_redis_rollbacks_total")
        held = "nothing" if state is None else f"frames up to {state.applied_offset}"
        return LostWrites(
            f"partition {self.partition}: Redis holds {held}, but acknowledged frames up to"
            f" {self.acknowledged.applied_offset}: it lost writes; restarting applies them again from the log"
        )


def _is_behind(frame: Frame) -> bool:
    """Return whether the frame's writer reads records that came long ago."""
    times = [source.read_up_to_ms for source in frame.header.sources if source.read_up_to_ms is not None]
    return bool(times) and now_ms() - min(times) > BEHIND_MS


def _progress(run: Run, view: _View) -> ApplyRequest:
    """Return the request of a run that holds nothing but positions."""
    return ApplyRequest(
        epoch=view.state.epoch,
        first=run.first,
        last=run.last,
        frame_id=run.frames[-1].frame_id,
        source_partitions=run.source_partitions,
        sources=run.positions,
    )
