"""What one worker knows of a partition is no longer so once another has owned it."""

from collections.abc import Sequence

from aggregator.folding import Folded
from aggregator.known import Knowledge
from services.identifiers import Epoch, PartitionId
from services.keyspace import epoch_prefix, tags
from services.memory_counters import MemoryCounterStore
from tests.support.folded_log import begun, fold_run
from tests.support.log_of_frames import FakeRecord, FrameMaker

PARTITION = PartitionId(0)
PREFIX = epoch_prefix(tags(1)[0], Epoch(1))
TIME = "2026-08-22T08:00:00Z"
TIME_MS = 1_787_385_600_000


class Log:
    """A log of frames with one event each, by the event's id."""

    def __init__(self, store: MemoryCounterStore) -> None:
        self._store = store
        self._maker = FrameMaker(1)
        self._offset = 0

    async def fold(self, worker: Knowledge, *names: str) -> list[Folded]:
        """Let a worker fold a frame for each of these ids, one after the other."""
        return [await self._fold(worker, name) for name in names]

    async def _fold(self, worker: Knowledge, name: str) -> Folded:
        value = (
            f'{{"specversion":"1.0","id":"{name}","source":"s","type":"usage.instruct","time":"{TIME}",'
            '"subject":"ann","organizationid":"acme","data":{"acceptedCount":1}}'
        )
        record = FakeRecord(offset=self._offset, timestamp=TIME_MS, value=value.encode())
        self._offset += 1
        [frames] = self._maker.poll({0: [record]})
        return await fold_run(self._store, PARTITION, frames, worker, forget=False)


def counted(folds: Sequence[Folded]) -> list[int]:
    return [folded.counted for folded in folds]


async def test_a_worker_that_comes_later_knows_the_copies_of_what_was_counted_before_it() -> None:
    log = Log(await begun(1))
    assert counted(await log.fold(Knowledge(), "a", "b", "a")) == [1, 1, 0]
    assert counted(await log.fold(Knowledge(), "c", "a", "b", "c")) == [1, 0, 0, 0]


async def test_a_worker_that_comes_back_knows_the_copies_of_what_another_counted() -> None:
    log, first = Log(await begun(1)), Knowledge()
    assert counted(await log.fold(first, "a")) == [1]
    assert counted(await log.fold(Knowledge(), "b")) == [1]
    first.forget(PREFIX)
    assert counted(await log.fold(first, "a", "b", "c")) == [0, 0, 1]


async def test_nothing_is_known_of_a_partition_that_was_forgotten() -> None:
    log, worker = Log(await begun(1)), Knowledge()
    [folded] = await log.fold(worker, "a")
    [growth] = folded.growths
    places = growth.renewed
    assert worker.ids.get(growth.key, 0) is not None
    assert not worker.renewals.due(growth.key, places, 0).any()
    assert worker.hashes.get(f"{PREFIX}i:acme") is None
    assert worker.ordinals.get(f"{PREFIX}i:acme") is not None
    worker.forget(PREFIX)
    assert worker.ids.get(growth.key, 0) is None
    assert worker.renewals.due(growth.key, places, 0).all()
    assert worker.ordinals.get(f"{PREFIX}i:acme") is None
