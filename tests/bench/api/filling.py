"""Fills a store through the aggregator's own fold, so that what lies there lies as the product puts it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from aggregator.branch import Keeping, Place
from aggregator.dedup import periods_of
from aggregator.folding import Fold
from aggregator.known import Knowledge
from aggregator.run import join
from services.counters import NOTHING_APPLIED, Applied, PartitionState, ReadRequest
from services.dedup_index import read_period
from services.frames import Frame
from services.identifiers import Epoch, FrameOffset, PartitionId
from services.identity import fingerprint
from services.keyspace import epoch_prefix, ids_key, partition_of, tags
from services.redis_counters import RedisCounterStore
from services.settings import Settings
from services.windows import DAY_MS
from tests.bench.api.directory_frames import directory_frames
from tests.bench.api.population import DAYS, everybody
from tests.bench.api.usage_frames import Log, usage_frames

EPOCH = Epoch(1)


@dataclass(slots=True)
class Filled:
    """What was put in."""

    events: int = 0
    directory_events: int = 0


async def fill(store: RedisCounterStore, settings: Settings, now_ms: int, seed: int) -> Filled:
    """Fold usage and directory of everybody up to an instant into an empty store."""
    partitions = settings.topics.frames_partitions
    log = Log(
        fingerprint=fingerprint(settings.events.identity_secret.get_secret_value()),
        topic=settings.topics.events,
        directory_topic=settings.topics.directory,
        read_up_to_ms=now_ms,
    )
    today = now_ms // DAY_MS
    days = range(today - DAYS + 1, today + 1)
    directory = directory_frames(everybody(), partitions, log, days.start * DAY_MS)
    filled = Filled()
    for partition in range(partitions):
        users = [each for each in everybody() if partition_of(each.organization, partitions) == partition]
        usage = usage_frames(users, days, log, np.random.default_rng((seed, partition)), now_ms)
        filling = _Partition(store, PartitionId(partition), settings, now_ms)
        await filling.begin(log.fingerprint)
        for frame in chain(_part(directory, partition), usage if users else ()):
            await filling.apply(frame)
            filled.events += frame.event_count
            filled.directory_events += len(frame.directory)
    return filled


def _part(directory: dict[int, Frame], partition: int) -> Iterator[Frame]:
    if partition in directory:
        yield directory[partition]


class _Partition:
    """Applies frames to one partition, each in a call of its own."""

    def __init__(self, store: RedisCounterStore, partition: PartitionId, settings: Settings, now_ms: int) -> None:
        self._store = store
        self._partition = partition
        self._partitions = settings.topics.frames_partitions
        self._prefix = epoch_prefix(tags(self._partitions)[partition], EPOCH)
        events = settings.events
        self._place = Place(
            prefix=self._prefix,
            keeping=Keeping(hours_s=events.keep_hours, days_s=events.keep_days, ids_s=None),
            knowledge=Knowledge(),
            now_s=now_ms // 1000,
            elapsed_s=0.0,
        )

    async def begin(self, of_secret: str) -> None:
        state = PartitionState(
            epoch=EPOCH,
            applied_offset=NOTHING_APPLIED,
            frame_id=None,
            partitions=self._partitions,
            fingerprint=of_secret,
        )
        await self._store.begin(self._partition, state)

    async def apply(self, frame: Frame) -> None:
        state = await self._store.state(self._partition)
        assert state is not None
        run = join(FrameOffset(state.applied_offset + 1), [frame], state.sources, state.source_partitions)
        near: Sequence[int] = sorted(periods_of(run))
        read = await self._store.read(
            self._partition, ReadRequest(whole=[ids_key(self._prefix, period) for period in near])
        )
        periods = dict(zip(near, map(read_period, read.whole), strict=True))
        fold = Fold(run, epoch=EPOCH, periods=periods, place=self._place)
        folded = fold.finish(await self._store.read(self._partition, fold.request))
        assert await self._store.apply(self._partition, folded.request) == Applied()
        folded.learn()
        self._place.knowledge.make_room()
