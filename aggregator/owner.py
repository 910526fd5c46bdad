"""Owns the partitions that this worker is assigned: where they begin, their appliers, and the watch over them.

Redis holds the truth of progress (design.md, invariant 4): every assignment begins at the applied offset + 1, and
Kafka's committed offsets serve lag display only.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Final

import structlog

from aggregator.applying import PartitionApplier, Shared
from aggregator.asking_log import AskingLog
from aggregator.branch import keeping_of
from aggregator.errors import LostWrites
from aggregator.holding import count_crash
from aggregator.known import Knowledge
from aggregator.log_probe import LogProbe
from aggregator.lull import Lull
from aggregator.retrying import Retrying
from services.counters import NOTHING_APPLIED, CounterStore, PartitionState, StoreRefused
from services.crash_points import CrashPoints
from services.health import HealthServer
from services.identifiers import Epoch, FrameOffset, PartitionId
from services.identity import fingerprint
from services.kafka import KafkaRefused, KafkaUnavailable
from services.keyspace import tags
from services.lifecycle import Refused
from services.settings import Settings
from services.spans import Spans
from services.stuck import Doing, Work
from services.telemetry import Telemetry
from services.trace_context import CarriedTrace

CANCEL_AGAIN_S: Final = 0.1


class Owner:
    """Answers an assignment with positions, takes frames, and fails as a whole when one of its parts fails.

    Attributes:
        failed: done with the exception that ends the worker.
    """

    def __init__(
        self,
        settings: Settings,
        store: CounterStore,
        probe: LogProbe,
        retrying: Retrying,
        telemetry: Telemetry,
        health: HealthServer,
        spans: Spans | None = None,
    ) -> None:
        self._settings = settings
        self._store = store
        self._probe = probe
        self._retrying = retrying
        self._asking_log = AskingLog(telemetry, health)
        self._telemetry = telemetry
        self._health = health
        self._partitions = settings.topics.frames_partitions
        self._fingerprint = fingerprint(settings.events.identity_secret.get_secret_value())
        self._shared = Shared(
            store=store,
            keeping=keeping_of(settings.events),
            knowledge=Knowledge(),
            max_items=settings.aggregator.max_call_items,
            retrying=retrying,
            telemetry=telemetry,
            crash_points=CrashPoints(settings.testing.crash_point),
            lull=Lull(),
            spans=spans,
        )
        self._appliers: dict[PartitionId, PartitionApplier] = {}
        self._tasks: dict[PartitionId, asyncio.Task[None]] = {}
        self._latest: dict[PartitionId, FrameOffset] = {}
        self._held: dict[PartitionId, FrameOffset] = {}
        self._ends: dict[PartitionId, int] = {}
        self._doing = Doing()
        self._assigning = asyncio.Lock()
        self._counting: set[asyncio.Task[BaseException]] = set()
        self._assignments = 0
        self._giving_up: asyncio.Task[None] | None = None
        self._log = structlog.get_logger()
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def assign(self, partitions: Iterable[PartitionId]) -> dict[PartitionId, FrameOffset]:
        """Give up what was owned, take over these partitions, and return where to read each from.

        Ready is a worker that has joined the group and begun what it was assigned, be it nothing.

        Raises:
            Refused: a partition cannot go on; also set as `failed`.
        """
        self._assignments += 1
        # Faust asks twice at once now and then: as it takes an assignment up, and when it fetches meanwhile.
        async with self._assigning:
            with self._doing("an assignment"):
                return await self._assign(sorted(partitions))

    def assigned_nothing(self) -> None:
        """Take in that the worker joined the group, and that others have all partitions; Faust does not wait for it."""
        self._giving_up = asyncio.create_task(self._give_up(self._assignments))

    async def _give_up(self, assignments: int) -> None:
        """Give up what was owned, once its log is seen to be as it was.

        A topic that is deleted takes all partitions away too, and is to be noticed when it is made anew: until then
        what was owned stays under watch.

        Args:
            assignments: so many there were; when another one comes meanwhile, it holds.
        """
        try:
            await self._asking_log.once(lambda: self._check_log(list(self._appliers)))
        except (Refused, KafkaRefused) as error:
            self.fail(error)
        except KafkaUnavailable:
            if self._assignments == assignments:
                self._health.ready("assignment")
        else:
            if self._assignments == assignments:
                await self.assign([])

    async def _assign(self, wanted: Sequence[PartitionId]) -> dict[PartitionId, FrameOffset]:
        if wanted:
            self._health.not_ready("assignment", f"{len(wanted)} partitions are being taken over")
        try:
            await self.release()
            self._check_count(wanted)
            bounds = await self._asking_log(lambda: self._probe.bounds(wanted))
            states = {partition: await self._state(partition, bounds[partition]) for partition in wanted}
            await self._asking_log(lambda: self._check(states, bounds))
        except Exception as error:
            self.fail(error)
            raise
        for partition, state in states.items():
            self._own(partition, state)
        self._health.ready("assignment")
        self._log.info("assigned", partitions=wanted)
        return {partition: FrameOffset(state.applied_offset + 1) for partition, state in states.items()}

    async def release(self) -> None:
        """Stop applying; what waits is dropped, and read again by the next owner."""
        tasks, appliers = list(self._tasks.values()), list(self._appliers.values())
        self._tasks, self._appliers = {}, {}
        await _end(tasks)
        # The one feeder of all partitions may wait for room in a queue that nobody empties now.
        for applier in appliers:
            self._telemetry.forget("tidemark_applied_offset", partition=applier.partition)
            await applier.queue.release()

    async def offer(
        self,
        partition: PartitionId,
        offset: FrameOffset,
        value: bytes | None,
        done: Callable[[], object],
        traces: Sequence[CarriedTrace] = (),
    ) -> None:
        """Take the next frame of a partition; one that is not assigned now, or comes after a failure, is dropped."""
        applier = self._appliers.get(partition)
        if applier is None or self.failed.done():
            return
        try:
            if offset <= self._latest[partition]:
                # Kafka took the position back: the log ended before it, and may be another one by now.
                await self._asking_log(lambda: self._check_log([partition]))
            self._latest[partition] = offset
            await applier.queue.offer(offset, value, done, traces)
        except LostWrites as error:
            self.fail(await self._why_missing(partition, applier, error))
        except (Refused, KafkaRefused, KafkaUnavailable) as error:
            self.fail(error)

    async def watch_store(self) -> None:
        """Every second, hold what Redis says of the applied offsets against what it acknowledged; for ever."""
        while True:
            await asyncio.sleep(self._settings.aggregator.check_interval)
            for partition, applier in list(self._appliers.items()):
                acknowledged = applier.acknowledged
                with self._doing("a look at Redis"):
                    state = await self._retrying(lambda at=partition: self._store.state(at))  # type: ignore[misc]
                if state is None or (
                    state.epoch == acknowledged.epoch and state.applied_offset < acknowledged.applied_offset
                ):
                    self._telemetry.count("tidemark_redis_rollbacks_total")
                    held = "nothing" if state is None else f"frames up to {state.applied_offset}"
                    raise LostWrites(
                        f"partition {partition}: Redis holds {held}, but acknowledged frames up to"
                        f" {acknowledged.applied_offset}: it lost writes; restarting applies them again from the log"
                    )
                self._held[partition] = state.applied_offset

    async def watch_log(self) -> None:
        """Every few seconds, look whether the last applied frames still stand in the log; for ever."""
        while True:
            await asyncio.sleep(self._settings.aggregator.frame_check_interval)
            with suppress(KafkaUnavailable), self._doing("a look at the log of frames"):
                await self._asking_log.once(lambda: self._check_log(list(self._appliers)))

    def fail(self, error: BaseException) -> None:
        if not self.failed.done():
            self.failed.set_exception(error)

    def owned(self) -> Mapping[PartitionId, PartitionState]:
        return {partition: applier.acknowledged for partition, applier in self._appliers.items()}

    def works(self) -> dict[str, Work]:
        """Return how the work stands, for the watchdog."""
        return self._doing.works() | {
            f"partition {partition} of {self._settings.topics.frames}": self._work_of(applier)
            for partition, applier in self._appliers.items()
        }

    def _work_of(self, applier: PartitionApplier) -> Work:
        """Return how a partition stands: frames wait that came, or that stand in the log and should have come.

        Another worker may own it by now: what is applied is what Redis held at the last look, if that is more.
        """
        partition = applier.partition
        applied = max(
            applier.acknowledged.applied_offset, self._held.get(partition, applier.acknowledged.applied_offset)
        )
        waits = applier.holds_frames or self._ends.get(partition, 0) > applied + 1
        return Work(waits=waits, mark=(id(applier), applied))

    async def _check_log(self, partitions: Iterable[PartitionId]) -> None:
        owned = {at: self._appliers[at].acknowledged for at in partitions if at in self._appliers}
        bounds = await self._probe.bounds(owned)
        self._ends.update({partition: end for partition, (_, end) in bounds.items()})
        await self._check(owned, bounds)

    async def _check(
        self, states: Mapping[PartitionId, PartitionState], bounds: Mapping[PartitionId, tuple[int, int]]
    ) -> None:
        for partition, state in states.items():
            await self._probe.check(partition, state, bounds[partition])

    async def _why_missing(self, partition: PartitionId, applier: PartitionApplier, error: LostWrites) -> Exception:
        """Return why a frame did not come: the error, or that the log does not have it."""
        try:
            await self._asking_log(lambda: self._probe.check_gap(partition, applier.queue.expected))
        except (Refused, KafkaRefused, KafkaUnavailable) as cause:
            return cause
        return error

    def _check_count(self, partitions: Iterable[PartitionId]) -> None:
        if strange := [partition for partition in partitions if partition >= self._partitions]:
            raise Refused(
                f"{self._settings.topics.frames} has partition {strange[0]}, the settings say {self._partitions}"
                " partitions: P is fixed for a deployment; give topics.frames the topic as it was made"
            )

    def _own(self, partition: PartitionId, state: PartitionState) -> None:
        applier = PartitionApplier(partition, tags(self._partitions)[partition], state, self._shared)
        task = asyncio.create_task(applier.run(), name=f"partition-{partition}")
        task.add_done_callback(lambda ended: self._ended(ended, applier))
        self._appliers[partition] = applier
        if state.applied_offset > NOTHING_APPLIED:
            self._telemetry.set("tidemark_applied_offset", state.applied_offset, partition=partition)
        self._tasks[partition] = task
        self._latest[partition] = state.applied_offset

    def _ended(self, task: asyncio.Task[None], applier: PartitionApplier) -> None:
        if task.cancelled() or (error := task.exception()) is None:
            return
        if isinstance(error, Refused | StoreRefused):
            self.fail(error)
            return
        counting = asyncio.create_task(count_crash(self._store, self._retrying, applier, error))
        self._counting.add(counting)
        counting.add_done_callback(self._counted)

    def _counted(self, task: asyncio.Task[BaseException]) -> None:
        if not task.cancelled():
            self.fail(task.exception() or task.result())

    async def _state(self, partition: PartitionId, log: tuple[int, int]) -> PartitionState:
        """Return the partition's state, made when it has none and may have one."""
        state = await self._retrying(lambda: self._store.state(partition))
        if state is None:
            state = await self._begin(partition, log)
        if state.partitions != self._partitions:
            raise Refused(
                f"the counters were made with {state.partitions} partitions of usage.frames, the settings say"
                f" {self._partitions}: P is fixed for a deployment; set topics.frames_partitions back"
            )
        if state.fingerprint != self._fingerprint:
            raise Refused(
                "the counters were made with another events.identity_secret: set the deployment's own, or copies of"
                " counted events would be counted again"
            )
        return state

    async def _begin(self, partition: PartitionId, log: tuple[int, int]) -> PartitionState:
        log_begin, log_end = log
        async for key in self._store.keys(partition):
            # Another owner may have begun the partition since the look: an assignment that is just ending.
            if (begun := await self._retrying(lambda: self._store.state(partition))) is not None:
                return begun
            raise Refused(
                f"partition {partition} has counters ({key}) but no applied offset: Redis was damaged or belongs to"
                " something else; restore a backup, or empty it and let the frames be applied anew"
            )
        if log_begin and not self._settings.aggregator.allow_rebuild:
            raise Refused(
                f"Redis holds nothing of partition {partition}, and its frames begin at offset {log_begin}: older"
                " usage cannot be counted again. Restore a backup of Redis, or start with --allow-rebuild"
                " (aggregator.allow_rebuild = true) to count from there"
            )
        if log_end > log_begin:
            self._log.warning(
                "redis_is_empty_frames_are_folded_again",
                partition=partition,
                first_offset=log_begin,
                end_offset=log_end,
            )
        else:
            self._log.info("partition_begun", partition=partition, first_offset=log_begin)
        state = PartitionState(
            epoch=Epoch(1),
            applied_offset=FrameOffset(NOTHING_APPLIED + log_begin),
            frame_id=None,
            partitions=self._partitions,
            fingerprint=self._fingerprint,
        )
        return await self._retrying(lambda: self._store.begin(partition, state))


async def _end(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Cancel tasks until all have ended.

    `asyncio.wait_for` of Python 3.11, which the Redis client and the queue wait with, loses a cancellation that comes
    as what it waits for is done: the task would go on, and the assignment wait for it for ever.
    """
    waiting = set(tasks)
    while waiting:
        for task in waiting:
            task.cancel()
        _, waiting = await asyncio.wait(waiting, timeout=CANCEL_AGAIN_S)
