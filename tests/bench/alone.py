"""The steps of ingest and of the aggregator in one process, one after the other, on a real Redis.

Without the clients of Kafka, Faust and the waiting: what is left is what an event costs by its nature.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import redis

from aggregator.branch import Keeping, Place
from aggregator.dedup import periods_of
from aggregator.folding import Fold
from aggregator.known import FIELDS_MAX, Knowledge
from aggregator.run import Run, join
from ingest.admission import Admission
from ingest.directory_admission import DirectoryAdmission
from ingest.packing import Packer, PackingLimits
from ingest.poll import Collector, Source
from ingest.verdicts import AdmissionRules
from services.clock import now_ms
from services.counters import NOTHING_APPLIED, Applied, ApplyRequest, PartitionState, ReadResult
from services.dedup_index import Generation, generation_key
from services.frames import Frame, decode_frame
from services.identifiers import Epoch, FrameOffset, PartitionId
from services.identity import identity_hasher
from services.keyspace import epoch_prefix, tags
from services.redis_counters import RedisCounterStore, pack_run
from services.settings import Settings

FINGERPRINT: Final = "f"
POLL: Final = 20_000
"""Records of one poll of an ingest that is behind (setting ingest.max_poll_records)."""

FRAMES_AT_HAND: Final = 64
"""What waits for one partition at most (`aggregator.frame_queue.QUEUE_FRAMES`)."""

Step = Callable[[str], AbstractContextManager[None]]


class Record(NamedTuple):
    """What ingest reads of a Kafka record."""

    offset: int
    timestamp: int
    value: bytes
    key: bytes | None = None
    headers: tuple[()] = ()


def _no_step(_: str) -> AbstractContextManager[None]:
    return nullcontext()


class IngestAlone:
    """Packs records into the frames of P partitions, poll after poll."""

    def __init__(self, settings: Settings, step: Step = _no_step) -> None:
        rules = AdmissionRules(
            ignore_unknown=False, max_bytes=settings.events.max_bytes, max_age_ms=None, max_ahead_ms=300_000
        )
        self._topic, self._partitions, self._step = settings.topics.events, settings.topics.frames_partitions, step
        self._collector = Collector(
            Admission(rules), DirectoryAdmission(rules), identity_hasher("secret"), self._partitions
        )
        limits = PackingLimits(
            partitions=self._partitions, events=settings.ingest.max_frame_events, bytes=settings.ingest.max_frame_bytes
        )
        self._packer = Packer(limits, FINGERPRINT, lambda: 1)

    def polls(self, records: Sequence[Record]) -> Iterator[list[list[bytes]]]:
        """Yield each partition's frames of one poll after the other."""
        for start in range(0, len(records), POLL):
            yield self._poll(start, records[start : start + POLL])

    def _poll(self, start: int, polled: Sequence[Record]) -> list[list[bytes]]:
        with self._step("take records through the steps"):
            gathering = self._collector.begin()
            offsets, times = gathering.collect(0, polled)
        source = Source(
            topic=self._topic,
            partition=0,
            first_offset=start,
            next_offset=start + len(polled),
            read_up_to_ms=1,
            offsets=offsets,
            broker_ms=times,
        )
        with self._step("frames"):
            poll = self._collector.poll(gathering, [source])
            return [
                list(
                    self._packer.frames(
                        poll, PartitionId(number), np.flatnonzero(poll.partitions == number), {self._topic: 1}
                    )
                )
                for number in range(self._partitions)
            ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Memories:
    """What the aggregator knows, and how full the dedup index is, where that is not what a new one has.

    Attributes:
        fields: that it may know.
        ranges, ids: sets of each period, all of them unknown to it, and identities in each of these.
        call_s: by which the clock that sets' ends are moved on by advances with each call.
    """

    fields: int = FIELDS_MAX
    ranges: int = 0
    ids: int = 0
    call_s: float = 0.0


NEW: Final = Memories()


@dataclass(slots=True)
class Work:
    """What was done so far.

    Attributes:
        strings: in the frames' tables.
        cells: written.
        reads, fields: whole hashes that were read, and what was in them.
        begun: of these hashes, which were not there yet.
        asked, sets: sets of the dedup index that were looked up in, and that got identities.
    """

    events: int = 0
    frames: int = 0
    calls: int = 0
    strings: int = 0
    cells: int = 0
    reads: int = 0
    fields: int = 0
    begun: int = 0
    asked: int = 0
    sets: int = 0


class AggregatorAlone:
    """Folds frames and applies them, as a worker that owns all partitions and is behind does."""

    def __init__(
        self, store: RedisCounterStore, settings: Settings, step: Step = _no_step, memories: Memories = NEW
    ) -> None:
        self._store, self._step = store, step
        self._max_items = settings.aggregator.max_call_items
        self._tags = tags(settings.topics.frames_partitions)
        self._keeping = Keeping(hours_s=45 * 86_400.0, days_s=761 * 86_400.0, ids_s=37 * 86_400.0)
        self._knowledge = Knowledge(memories.fields)
        self._periods: list[dict[int, tuple[Generation, ...]]] = [{} for _ in self._tags]
        self._memories = memories
        self._empty = (Generation(memories.ranges, memories.ids * memories.ranges),) if memories.ranges else ()
        self._states: list[PartitionState] = []
        self._items_an_event = 4.0
        self.work = Work()

    async def begin(self) -> None:
        for number in range(len(self._tags)):
            state = PartitionState(
                epoch=Epoch(1),
                applied_offset=NOTHING_APPLIED,
                frame_id=None,
                partitions=len(self._tags),
                fingerprint=FINGERPRINT,
            )
            self._states.append(await self._store.begin(PartitionId(number), state))

    async def apply(self, partition: PartitionId, log: Sequence[bytes]) -> None:
        """Apply a partition's next frames, as many together as one call may hold."""
        at = 0
        while at < len(log):
            at += await self._apply_run(partition, log[at : at + FRAMES_AT_HAND])

    async def _apply_run(self, partition: PartitionId, log: Sequence[bytes]) -> int:
        step, periods = self._step, self._periods[partition]
        state, prefix = self._states[partition], epoch_prefix(self._tags[partition], Epoch(1))
        taken: list[Frame] = []
        room = self._max_items / self._items_an_event
        with step("decode frames"):
            for each in log:
                frame = decode_frame(each)
                room -= frame.event_count
                if taken and room < 0:
                    break
                taken.append(frame)
        with step("join frames"):
            run = join(FrameOffset(state.applied_offset + 1), taken, state.sources, state.source_partitions)
        periods |= dict.fromkeys(periods_of(run), self._empty) | periods
        place = Place(
            prefix=prefix,
            keeping=self._keeping,
            knowledge=self._knowledge,
            now_s=now_ms() // 1000,
            elapsed_s=self.work.calls * self._memories.call_s,
        )
        with step("group events"):
            fold = Fold(run, epoch=Epoch(1), periods=periods, place=place)
            request = fold.request
        read = ReadResult(state=state, fields=(), members=(), whole=())
        if not request.asks_nothing:
            read = await self._store.read(partition, request)
        with step("the rest of the fold"):
            folded = fold.finish(read)
        if step is not _no_step:
            # The store packs by itself, out of reach of a step: once more, to see what that takes.
            with step("pack for Redis"):
                pack_run(folded.request)
        assert await self._store.apply(partition, folded.request) == Applied()
        self._states[partition] = folded.request.state_after(state)
        periods |= folded.periods
        with step("remember what was written"):
            folded.learn()
            self._make_room()
        if len(run):
            self._items_an_event = fold.items / len(run)
        self._note(taken, run, fold, read, folded.request)
        return len(taken)

    def _make_room(self) -> None:
        self._knowledge.make_room()
        if self._memories.fields < FIELDS_MAX:
            # The product looks after 64 calls, which is more than a short run has.
            self._knowledge.hashes.make_room()

    def _note(self, frames: Sequence[Frame], run: Run, fold: Fold, read: ReadResult, request: ApplyRequest) -> None:
        work = self.work
        work.events += len(run)
        work.frames += len(frames)
        work.calls += 1
        work.strings += sum(len(frame.strings) for frame in frames)
        work.cells += fold.items - len(run)
        work.reads += len(read.whole)
        work.fields += sum(map(len, read.whole))
        work.begun += sum(not each for each in read.whole)
        work.asked += len(fold.request.members)
        work.sets += len(request.sets) + len(request.living_sets)


def fill_sets(client: redis.Redis, settings: Settings, periods: Sequence[int], memories: Memories) -> None:
    """Put identities of nobody into every set of these periods, as in an index that has been in use for weeks."""
    rng = np.random.default_rng(5)
    for tag in tags(settings.topics.frames_partitions):
        for period in periods:
            key = generation_key(epoch_prefix(tag, Epoch(1)), period, 0)
            pipe = client.pipeline(transaction=False)
            for place in range(memories.ranges):
                pipe.sadd(f"{key}/{place}", *rng.integers(-(2**62), 2**62, memories.ids).tolist())
            pipe.execute()
