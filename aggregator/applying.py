"""One partition's frames, applied in order: take what waits, fold, apply, until the answer is known."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import structlog

from aggregator.branch import Keeping, Place
from aggregator.dedup import periods_of
from aggregator.errors import LostWrites
from aggregator.folding import Fold, Folded
from aggregator.frame_queue import FrameQueue, Waiting
from aggregator.in_flight import InFlight
from aggregator.known import Knowledge
from aggregator.lull import Lull
from aggregator.retrying import Retrying
from aggregator.run import Run, join
from aggregator.run_metrics import note_events
from aggregator.traced_runs import tell_traces
from services.clock import monotonic_s, now_ms
from services.counters import (
    NOTHING_APPLIED,
    Applied,
    ApplyOutcome,
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
from services.dedup_index import Generation, read_period
from services.identifiers import FrameOffset, PartitionId
from services.keyspace import epoch_prefix, ids_key, slot_prefix
from services.spans import Spans
from services.telemetry import Telemetry

PLAN_AGE_MAX_S: Final = 60.0
"""Above it a run that was folded while another one was on its way is folded anew."""


@dataclass(slots=True)
class _View:
    """What is known of the partition at (epoch, applied offset), once the run on its way is applied.

    It is thrown away on any doubt.
    """

    state: PartitionState
    periods: dict[int, tuple[Generation, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """What the appliers of a worker have in common.

    Attributes:
        max_items: ids and cells that one script call may hold.
        spans: None where none are wanted.
    """

    store: CounterStore
    keeping: Keeping
    knowledge: Knowledge
    max_items: int
    retrying: Retrying
    telemetry: Telemetry
    crash_points: CrashPoints
    lull: Lull
    spans: Spans | None = None


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
        self._spans = shared.spans
        self._knowledge.forget(slot_prefix(tag))
        self._view: _View | None = _View(state, {})
        # Frames that crashed a worker together are folded one by one, so that the one at fault is known.
        self._alone_until = NOTHING_APPLIED if state.crash is None else state.crash.last
        self._trying: tuple[FrameOffset, FrameOffset] | None = None
        self._waiting: list[Waiting] = []
        self._in_flight: InFlight | None = None
        self.queue = FrameQueue(
            partition, FrameOffset(state.applied_offset + 1), state.fingerprint, shared.max_items, shared.lull
        )
        self._log = structlog.get_logger().bind(partition=partition)

    async def run(self) -> None:
        """Apply what is offered to the queue, for ever."""
        try:
            while True:
                await self._apply_next()
        except Exception:
            # A crash counts where Redis stands (`aggregator.holding`), which is behind the run on its way.
            await self._settle()
            raise
        finally:
            if self._in_flight is not None:
                self._in_flight.reply.cancel()
                await asyncio.gather(self._in_flight.reply, return_exceptions=True)

    @property
    def trying(self) -> tuple[FrameOffset, FrameOffset]:
        """The first and the last frame that are being folded, or were when `run` raised."""
        return self._trying or (self.queue.expected, self.queue.expected)

    @property
    def holds_frames(self) -> bool:
        """Whether frames have come that are not known to be applied."""
        return bool(self._waiting) or self._in_flight is not None or not self.queue.is_empty

    async def _apply_next(self) -> None:
        """Send the next run. While it is on its way the one after it is folded, if a full call waits in the queue."""
        if self._waiting or not self.queue.holds_a_call:
            await self._settle()
        if not self._waiting:
            self._trying = None
            self._waiting = await self.queue.take()
        # Without a view nothing is on its way: whatever takes the view away is settled first.
        view = self._view = self._view or await self._load()
        waiting = self._waiting
        while waiting and waiting[0].offset <= view.state.applied_offset:
            waiting.pop(0).done()
        if not waiting:
            return
        if waiting[0].offset != view.state.applied_offset + 1:
            raise self._lost(view.state)
        alone = waiting[0].offset <= self._alone_until
        began = monotonic_s()
        planned = await self._plan(view, waiting[:1] if alone else waiting[:])
        await self._settle()
        # What it says of ends holds for a while only, and Redis may have been away for longer.
        if planned is not None and self._view is view and monotonic_s() - began < PLAN_AGE_MAX_S:
            self._send(view, *planned)

    async def _plan(
        self, view: _View, waiting: Sequence[Waiting]
    ) -> tuple[Sequence[Waiting], ApplyRequest, Folded | None] | None:
        """Fold as many of the waiting frames as fit one call; None when the view turns out to be wrong."""
        began = monotonic_s()
        self._trying = (waiting[0].offset, waiting[-1].offset)
        held = view.state
        run = join(waiting[0].offset, [each.frame for each in waiting], held.sources, held.source_partitions)
        if run.only_moves_on:
            return waiting, _progress(run, view), None
        joined = monotonic_s()
        if not await self._know_periods(view, run):
            return None
        known = monotonic_s()
        fold = Fold(
            run,
            epoch=view.state.epoch,
            periods=view.periods,
            place=Place(
                prefix=epoch_prefix(self._tag, view.state.epoch),
                keeping=self._keeping,
                knowledge=self._knowledge,
                now_s=now_ms() // 1000,
                elapsed_s=known,
            ),
        )
        if events := len(run) + len(run.directory):
            self.queue.items_an_event = fold.items / events
        if fold.items > self._max_items and len(waiting) > 1:
            return await self._plan(view, waiting[: len(waiting) // 2])
        asked = monotonic_s()
        read = await self._read(view, fold.request)
        if read is None:
            return None
        answered = monotonic_s()
        folded = fold.finish(read)
        self._telemetry.observe("tidemark_fold_seconds", monotonic_s() - answered + asked - known + joined - began)
        return waiting, folded.request, folded

    async def _read(self, view: _View, request: ReadRequest) -> ReadResult | None:
        """Read what a fold needs; None when the store has moved on from the view.

        A fold on what is known already asks nothing: the apply compares. What the run on its way does not write can be
        read before it is acknowledged.
        """
        if request.asks_nothing:
            return ReadResult(state=view.state, fields=(), members=(), whole=())
        if self._in_flight is not None and not self._in_flight.leaves_alone(request):
            await self._settle()
            if self._view is not view:
                return None
        began = monotonic_s()
        read = await self._retrying(lambda: self._store.read(self.partition, request))
        self._telemetry.observe("tidemark_read_seconds", monotonic_s() - began)
        return read if self._still(view, read.state) else None

    def _send(self, view: _View, frames: Sequence[Waiting], request: ApplyRequest, folded: Folded | None) -> None:
        """Send a folded run, and go on from what it will leave."""
        if folded is not None:
            self._crash_points.visit("aggregator.before_apply")
        view.state = request.state_after(view.state)
        if folded is not None:
            view.periods.update(folded.periods)
            folded.learn()
            self._knowledge.make_room()
        reply = asyncio.create_task(self._apply(request))
        self._in_flight = InFlight(
            frames=frames, request=request, folded=folded, state=view.state, reply=reply, sent_ms=now_ms()
        )
        del self._waiting[: len(frames)]

    async def _apply(self, request: ApplyRequest) -> ApplyOutcome:
        """Apply; the same request again while it is unknown what became of it."""
        began = monotonic_s()
        outcome = await self._retrying(lambda: self._store.apply(self.partition, request))
        self._telemetry.observe("tidemark_apply_seconds", monotonic_s() - began)
        return outcome

    async def _settle(self) -> None:
        """Wait for what becomes of the run on its way; its frames wait again when it was not applied by this call."""
        sent = self._in_flight
        if sent is None:
            return
        trying, self._trying = self._trying, (sent.request.first, sent.request.last)
        outcome = await sent.reply
        self._trying, self._in_flight = trying, None
        if sent.folded is not None:
            self._crash_points.visit("aggregator.after_reply")
        match outcome:
            case Applied():
                self._note_applied(sent)
            case Duplicate() | WrongEpoch():
                self._telemetry.count("tidemark_frames_total", len(sent.frames), result="duplicate")
                self._log.info("run_was_applied_before", first=sent.request.first, last=sent.request.last)
                self._waiting = [*sent.frames, *self._waiting]
                self._view = None
            case Gap(applied):
                self._telemetry.count("tidemark_frames_total", len(sent.frames), result="gap")
                raise self._lost(replace(sent.state, applied_offset=applied))

    def _note_applied(self, sent: InFlight) -> None:
        self.acknowledged = sent.state
        self._telemetry.set("tidemark_applied_offset", sent.request.last, partition=self.partition)
        self._telemetry.count("tidemark_frames_total", len(sent.frames), result="applied")
        if sent.folded is not None:
            note_events(self._telemetry, self._log, sent.folded, sent.request)
            tell_traces(self._log, self._spans, self.partition, sent)
        for each in sent.frames:
            each.done()
        if any(each.frame.event_count for each in sent.frames):
            self._crash_points.visit("aggregator.after_ack")

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
        read = await self._read(view, ReadRequest(whole=[ids_key(prefix, period) for period in missing]))
        if read is None:
            return False
        view.periods.update(zip(missing, map(read_period, read.whole), strict=True))
        return True

    def _still(self, view: _View, state: PartitionState | None) -> bool:
        """Return whether a read belongs to the view; forget the view when it does not."""
        if state is None or state.applied_offset < self.acknowledged.applied_offset:
            raise self._lost(state)
        stands_at = {view.state.applied_offset}
        if self._in_flight is not None:
            stands_at.add(FrameOffset(self._in_flight.request.first - 1))
        if state.epoch == view.state.epoch and state.applied_offset in stands_at:
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
