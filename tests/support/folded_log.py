"""Logs of frames folded into a store in memory by the aggregator's own fold, run by run."""

from collections.abc import Sequence

from aggregator.branch import Keeping, Place
from aggregator.dedup import periods_of
from aggregator.folding import Fold, Folded
from aggregator.known import Knowledge
from aggregator.run import join
from services.counters import NOTHING_APPLIED, Applied, PartitionState, ReadRequest
from services.dedup_index import read_period
from services.identifiers import Epoch, FrameOffset, PartitionId
from services.keyspace import epoch_prefix, ids_key, tags
from services.memory_counters import MemoryCounterStore
from tests.support.log_of_frames import FINGERPRINT, decoded

FOR_EVER = Keeping(hours_s=None, days_s=None, ids_s=None)


async def begun(partitions: int, epoch: Epoch = Epoch(1)) -> MemoryCounterStore:
    """Return a store whose partitions wait for their first frame."""
    store = MemoryCounterStore(partitions)
    for number in range(partitions):
        state = PartitionState(
            epoch=epoch,
            applied_offset=NOTHING_APPLIED,
            frame_id=None,
            partitions=partitions,
            fingerprint=FINGERPRINT,
        )
        await store.begin(PartitionId(number), state)
    return store


async def fold_logs(
    store: MemoryCounterStore, logs: Sequence[Sequence[bytes]], run_sizes: Sequence[int] = (), known_fields: int = 1_000
) -> list[Folded]:
    """Fold each partition's frames, so many a run and the rest in one; between reads, fields are forgotten."""
    folds, knowledge = [], Knowledge(known_fields)
    for number, frames in enumerate(logs):
        rest = list(frames)
        for size in [*run_sizes, len(rest)]:
            taken, rest = rest[:size], rest[size:]
            if taken:
                folds.append(await fold_run(store, PartitionId(number), taken, knowledge))
    return folds


async def fold_run(
    store: MemoryCounterStore,
    partition: PartitionId,
    frames: Sequence[bytes],
    knowledge: Knowledge,
    *,
    forget: bool | None = None,
) -> Folded:
    """Fold and apply the next frames of a partition as one run.

    Args:
        forget: whether nothing is known of the partition afterwards; if None, after an odd number of frames.
    """
    state = await store.state(partition)
    assert state is not None
    prefix = epoch_prefix(tags(len(store.partitions))[partition], state.epoch)
    first = FrameOffset(state.applied_offset + 1)
    run = join(first, decoded(frames), state.sources, state.source_partitions)
    near = sorted(periods_of(run)) if len(run) else []
    read = await store.read(partition, ReadRequest(whole=[ids_key(prefix, period) for period in near]))
    periods = dict(zip(near, map(read_period, read.whole), strict=True))
    place = Place(prefix=prefix, keeping=FOR_EVER, knowledge=knowledge, now_s=0, elapsed_s=0.0)
    fold = Fold(run, epoch=state.epoch, periods=periods, place=place)
    knowledge.hashes.make_room()
    knowledge.ordinals.make_room()
    folded = fold.finish(await store.read(partition, fold.request))
    assert await store.apply(partition, folded.request) == Applied()
    folded.learn()
    if len(frames) % 2 if forget is None else forget:
        knowledge.forget(prefix)
    return folded
