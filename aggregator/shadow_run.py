"""A run of verify or rebuild: the servers it uses, that no other one is under way, and one shadow a partition.

A shadow begins empty, is folded up to where the live counters stand, and is gone at the end of its block unless it was
swapped in. What an earlier run left, because it was killed, is taken away first.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from typing import Final, TypeVar

from aggregator.applying import Shared
from aggregator.branch import Keeping, keeping_of
from aggregator.epoch_keys import EpochKeys
from aggregator.known import Knowledge
from aggregator.log_probe import LogProbe
from aggregator.lull import Lull
from aggregator.pacing import Pace
from aggregator.retrying import Retrying
from aggregator.run_lease import run_lease
from aggregator.shadow import Shadow, look_at_log
from aggregator.shadow_fold import ShadowFold
from aggregator.shadow_store import LEASE_S, PacedStore, ShadowStore, taken_over
from services.clock import monotonic_s
from services.counters import NOTHING_APPLIED, CounterStore, PartitionState, StoreRefused, StoreUnavailable
from services.crash_points import CrashPoints
from services.health import HealthServer
from services.identifiers import Epoch, FrameOffset, PartitionId
from services.identity import fingerprint
from services.keyspace import shadow_key, tags
from services.lifecycle import Refused
from services.redis_client import connect
from services.redis_counters import RedisCounterStore
from services.redis_shadows import ENDED_AT_ONCE, RedisShadows
from services.settings import Settings
from services.telemetry import Telemetry
from services.verification import Progress

AT_ONCE: Final = 4
"""Partitions under way: enough that one folds while Redis applies another's, and memory holds so many shadows."""

AWAY_S: Final = 60.0
"""After which a Redis that is away ends a run."""

_CALL_S: Final = 30.0
_RESULTS: Final = ("counted", "duplicate", "redelivered")

Answer = TypeVar("Answer")


class ShadowRun:
    """What the partitions of one run share; see `shadow_run`."""

    def __init__(
        self,
        settings: Settings,
        live: CounterStore,
        shadow: CounterStore,
        shadows: RedisShadows,
        probe: LogProbe,
        pace: Pace,
        progress: Callable[[Progress], object],
    ) -> None:
        self.settings = settings
        self.live = PacedStore(live, pace)
        self.shadows = shadows
        self.pace = pace
        self.crash_points = CrashPoints(settings.testing.crash_point)
        self.tags = tags(settings.topics.frames_partitions)
        self.keys = EpochKeys(shadows, self.tags, self.call)
        self.began_s = monotonic_s()
        self._probe = probe
        self._shadow = shadow
        self._fingerprint = fingerprint(settings.events.identity_secret.get_secret_value())
        self._telemetry = Telemetry("aggregator")
        health = HealthServer(self._telemetry)
        self.retrying = Retrying(self._telemetry, health, limit_s=AWAY_S)
        self._knowledge = Knowledge()
        self._lull = Lull()
        self._tell = progress
        self._progress = Progress(frames=0, total=0, cells=0)

    @property
    def events(self) -> int:
        """How many were folded so far, of usage and of the directory."""
        registry = self._telemetry.registry
        labels = ({"role": "aggregator", "result": result} for result in _RESULTS)
        return int(sum(registry.get_sample_value("tidemark_events_total", each) or 0 for each in labels))

    def came_on(self, *, frames: int = 0, total: int = 0, cells: int = 0) -> None:
        """Tell how much more was done, or is to be done."""
        now = self._progress
        self._progress = Progress(frames=now.frames + frames, total=now.total + total, cells=now.cells + cells)
        self._tell(self._progress)

    async def call(self, call: Callable[[], Awaitable[Answer]]) -> Answer:
        """Make a call to Redis at the run's pace, again while Redis is away."""
        return await self.retrying(lambda: self.pace(call))

    async def state(self, partition: PartitionId) -> PartitionState:
        """Return the state of the live counters.

        Raises:
            Refused: there is none, or it is another deployment's.
        """
        state = await self.retrying(lambda: self.live.state(partition))
        partitions = self.settings.topics.frames_partitions
        if state is None:
            raise Refused(f"partition {partition} was not begun: start an aggregator, and let it catch up")
        if state.partitions != partitions:
            raise Refused(
                f"the counters were made with {state.partitions} partitions of usage.frames, the settings say"
                f" {partitions}: set topics.frames_partitions back"
            )
        if state.fingerprint != self._fingerprint:
            raise Refused("the counters were made with another events.identity_secret: set the deployment's own")
        return state

    async def live_epochs(self) -> Mapping[PartitionId, Epoch]:
        """Return the live epoch of every partition that has one."""
        states = [
            await self.retrying(lambda at=number: self.live.state(PartitionId(at)))  # type: ignore[misc]
            for number in range(self.settings.topics.frames_partitions)
        ]
        return {PartitionId(at): state.epoch for at, state in enumerate(states) if state is not None}

    def is_live(self, shadow: Shadow) -> None:
        """Take in that a shadow was swapped in: what it replaced is for the next sweep."""
        shadow.is_live = True
        self.keys.stay(shadow.partition, shadow.epoch)

    def leave_the_fold(self, shadow: Shadow, keys: Sequence[str]) -> None:
        """Take in that something else than the fold is about to write to these keys of a shadow."""
        shadow.store.wrote(keys)
        for key in keys:
            self._knowledge.drop(key)

    @asynccontextmanager
    async def shadow(self, partition: PartitionId, *, to_swap: bool, trust_log: bool = False) -> AsyncIterator[Shadow]:
        """Make a shadow that stands where the live counters stood a moment ago.

        Args:
            to_swap: whether it is to be swapped in. Otherwise its keys end some hours after this run, should it be
                killed.
            trust_log: take the log as it is, though it begins late, or the counters were made from another one. Where
                these cannot go on with it, the shadow stands at its end.

        Raises:
            Refused: it cannot be made from the log that is there.
        """
        state = await self.state(partition)
        log = await look_at_log(
            self._probe, partition, state, max_ahead_s=self.settings.events.max_ahead, trust_log=trust_log
        )
        last = FrameOffset(log.end - 1) if log.diverged else state.applied_offset
        epoch = await self.call(lambda: self.shadows.new_epoch(state.epoch))
        self.keys.stay(partition, state.epoch, epoch)
        begun = replace(
            state,
            epoch=epoch,
            applied_offset=FrameOffset(NOTHING_APPLIED + log.first),
            frame_id=None,
            source_partitions={},
            sources={},
            months={},
            crash=None,
        )
        store = ShadowStore(self._shadow, self.pace, begun, leased=not to_swap)
        shadow = Shadow(
            partition=partition,
            live_epoch=state.epoch,
            stuck=state if log.diverged else None,
            epoch=epoch,
            first=log.first,
            sound_ms=log.sound_ms,
            store=store,
            fold=ShadowFold(self.settings, partition, begun, self._shared(store, leased=not to_swap), self._folded),
            comes=lambda frames: self.came_on(total=frames),
        )
        self.came_on(total=last + 1 - log.first)
        ending: asyncio.Task[None] | None = None
        try:
            lives_s = 0 if to_swap else LEASE_S
            if await self.call(lambda: self._shadow.begin(partition, begun, lives_s=lives_s)) != begun:
                raise taken_over(partition)
            if not to_swap:
                ending = asyncio.create_task(self._keep_ending_later(shadow))
            await shadow.fold.start()
            await shadow.fold.fold_to(last)
            yield shadow
        finally:
            if ending is not None:
                ending.cancel()
            await shadow.fold.stop()
            with suppress(StoreUnavailable, StoreRefused, Refused):
                await self._take_away(shadow)

    async def _take_away(self, shadow: Shadow) -> None:
        if shadow.is_live:
            return
        await self.call(lambda: self.shadows.drop_state(shadow.partition, shadow.epoch))
        await self.keys.unlink(shadow.partition, shadow.epoch, list(shadow.store.written))

    async def _keep_ending_later(self, shadow: Shadow) -> None:
        while True:
            await asyncio.sleep(LEASE_S / 3)
            await self._end_later([shadow_key(self.tags[shadow.partition]), *shadow.store.written])

    async def _end_later(self, keys: Sequence[str]) -> None:
        for start in range(0, len(keys), ENDED_AT_ONCE):
            await self.call(lambda at=start: self.shadows.end_in(keys[at : at + ENDED_AT_ONCE], LEASE_S))  # type: ignore[misc]

    def _folded(self, frames: int) -> None:
        self.came_on(frames=frames)

    def _shared(self, store: CounterStore, *, leased: bool) -> Shared:
        for_now = Keeping(hours_s=None, days_s=None, ids_s=LEASE_S)
        return Shared(
            store=store,
            keeping=for_now if leased else keeping_of(self.settings.events),
            knowledge=self._knowledge,
            max_items=self.settings.aggregator.max_call_items,
            retrying=self.retrying,
            telemetry=self._telemetry,
            crash_points=self.crash_points,
            lull=self._lull,
        )


@asynccontextmanager
async def shadow_run(
    settings: Settings, redis_share: float, progress: Callable[[Progress], object]
) -> AsyncIterator[ShadowRun]:
    """Open what a run needs, once no other run is under way.

    Args:
        redis_share: of Redis' time, above 0 and at most 1.

    Raises:
        Refused: another one is, or took over.
        KafkaUnavailable, KafkaRefused, StoreUnavailable, StoreRefused: a server is away.
    """
    partitions = settings.topics.frames_partitions
    async with AsyncExitStack() as stack:
        timeout_s = max(_CALL_S, settings.redis.timeout)
        client = connect(settings.redis, timeout_s=timeout_s, connections=4 * AT_ONCE, name="tidemark-shadow")
        stack.push_async_callback(client.aclose)
        shadows = RedisShadows(client, partitions)
        probe = LogProbe(settings.kafka, settings.topics.frames)
        stack.push_async_callback(probe.stop)
        await probe.start()
        await stack.enter_async_context(run_lease(shadows))
        run = ShadowRun(
            settings,
            RedisCounterStore(client, partitions),
            RedisCounterStore(client, partitions, state_key=shadow_key),
            shadows,
            probe,
            Pace(redis_share),
            progress,
        )
        await run.keys.begin(await run.live_epochs())
        yield run


async def on_each(partitions: Iterable[PartitionId], work: Callable[[PartitionId], Awaitable[None]]) -> None:
    """Do the work on some partitions at once until it is done on all; the first failure ends the others."""
    free = asyncio.Semaphore(AT_ONCE)

    async def one(partition: PartitionId) -> None:
        async with free:
            await work(partition)

    try:
        async with asyncio.TaskGroup() as group:
            for partition in partitions:
                group.create_task(one(partition))
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
