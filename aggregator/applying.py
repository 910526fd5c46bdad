"""One partition's frames, applied in order: take what waits, fold, apply, until the answer is known."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import structlog

from aggregator.branch import Keeping, Place
from aggregator.dedup import Generation, periods_of, read_period
from aggregator.errors import LostWrites
from aggregator.folding import Fold, Folded
from aggregator.frame_queue import FrameQueue, Waiting
from aggregator.known import Knowledge
from aggregator.lull import Lull
from aggregator.retrying import Retrying
from aggregator.run import Run, join
from services.clock import monotonic_s, now_ms
from services.counters import (
    NOTHING_APPLIED,
    Applied,
    ApplyRequest,
    CounterStore,
    Duplicate,
    Gap,
    PartitionState,
    ReadRequest,
    ReadResult,
    WrongEpoch,
)
from services.crash_points import CrashPoints
from services.identifiers import FrameOffset, PartitionId
from services.keyspace import epoch_prefix, ids_key, slot_prefix
from services.telemetry import Telemetry


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
    crash_points: CrashPoints
    lull: Lull


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
        self._crash_points = shared.crash_points
        self._knowledge.forget(slot_prefix(tag))
        self._view: _View | None = _View(state, {})
        # Frames that crashed a worker together are folded one by one, so that the one at fault is known.
        self._alone_until = NOTHING_APPLIED if state.crash is None else state.crash.last
        self._trying: tuple[FrameOffset, FrameOffset] | None = None
        self.queue = FrameQueue(
            partition, FrameOffset(state.applied_offset + 1), state.fingerprint, shared.max_items, shared.lull
        )
        self._log = structlog.get_logger().bind(partition=partition)

    async def run(self) -> None:
        """Apply what is offered to the queue, for ever."""
        while True:
            self._trying = None
            await self._apply_all(await self.queue.take())

    @property
    def trying(self) -> tuple[FrameOffset, FrameOffset]:
        """The first and the last frame that are being folded, or were when `run` raised."""
        return self._trying or (self.queue.expected, self.queue.expected)

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
            alone = waiting[0].offset <= self._alone_until
            fitting = await self._apply_run(view, waiting[:1] if alone else waiting)
            for done in waiting[:fitting]:
                done.done()
            if any(done.frame.event_count for done in waiting[:fitting]):
                self._crash_points.visit("aggregator.after_ack")
            del waiting[:fitting]

    async def _apply_run(self, view: _View, waiting: Sequence[Waiting]) -> int:
        """Fold and apply as many of the waiting frames as fit one call; return how many were applied."""
        began = monotonic_s()
        self._trying = (waiting[0].offset, waiting[-1].offset)
        held = view.state
        run = join(waiting[0].offset, [each.frame for each in waiting], held.sources, held.source_partitions)
        if run.only_moves_on:
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
                elapsed_s=began,
            ),
        )
        if events := len(run) + len(run.directory):
            self.queue.items_an_event = fold.items / events
        if fold.items > self._max_items and len(waiting) > 1:
            return await self._apply_run(view, waiting[: len(waiting) // 2])
        planned = monotonic_s()
        read = await self._read(view, fold.request)
        if not self._still(view, read.state):
            return 0
        answered = monotonic_s()
        folded = fold.finish(read)
        self._telemetry.observe("tidemark_read_seconds", answered - planned)
        self._telemetry.observe("tidemark_fold_seconds", monotonic_s() - answered + planned - began)
        return await self._send(view, folded.request, folded, run)

    async def _read(self, view: _View, request: ReadRequest) -> ReadResult:
        """Read what a fold needs; a fold on what is known already asks nothing, and the apply alone compares."""
        if request.asks_nothing:
            return ReadResult(state=view.state, fields=(), members=(), whole=())
        return await self._retrying(lambda: self._store.read(self.partition, request))

    async def _send(self, view: _View, request: ApplyRequest, folded: Folded | None, run: Run) -> int:
        """Apply a folded run; the same request again while it is unknown what became of it."""
        began = monotonic_s()
        if folded is not None:
            self._crash_points.visit("aggregator.before_apply")
        outcome = await self._retrying(lambda: self._store.apply(self.partition, request))
        if folded is not None:
            self._crash_points.visit("aggregator.after_reply")
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
            months={**view.state.months, **request.months},
            crash=None,
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
        if folded.oldest_duplicate_s is not None:
            self._telemetry.observe("tidemark_duplicate_age_seconds", folded.oldest_duplicate_s)
        if folded.saturated:
            self._telemetry.count("tidemark_saturated_counters_total", folded.saturated)
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
