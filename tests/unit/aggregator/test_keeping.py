"""What has an end keeps it, also when it is written as it ends."""

import pytest

from aggregator.branch import Keeping, Place
from aggregator.cells import EXPIRY_MAX_S, expiry_s
from aggregator.dedup import periods_of
from aggregator.folding import Fold, Folded
from aggregator.known import Knowledge
from aggregator.run import join
from services.counters import NOTHING_APPLIED, Applied, PartitionState, ReadRequest
from services.dedup_index import read_period
from services.identifiers import Epoch, FrameOffset
from services.keyspace import ids_key
from services.memory_counters import MemoryCounterStore
from services.windows import Window
from tests.support.log_of_frames import FINGERPRINT, decoded
from tests.unit.aggregator.test_fold import PARTITION, PREFIX, log_of

DAY = 20_000
KEPT_DAYS = 10
END_S = (DAY + 1 + KEPT_DAYS) * 86_400
KEEPING = Keeping(hours_s=KEPT_DAYS * 86_400.0, days_s=None, ids_s=None)
EVENT = (
    b'{"specversion":"1.0","id":"%d","source":"s","type":"usage.chat","time":"2024-10-04T05:00:00Z",'
    b'"subject":"ann","organizationid":"acme","data":{"interactions":1}}'
)


async def fold_two(second_at_s: int) -> Folded:
    """Fold two frames with an event each, one long before the end, one at this time; return the second fold."""
    store, knowledge, folds = MemoryCounterStore(1), Knowledge(), []
    await store.begin(
        PARTITION,
        PartitionState(
            epoch=Epoch(1), applied_offset=NOTHING_APPLIED, frame_id=None, partitions=1, fingerprint=FINGERPRINT
        ),
    )
    for offset, (frame, now_s) in enumerate(
        zip(log_of([EVENT % 1, EVENT % 2], [1, 1]), (DAY * 86_400, second_at_s), strict=True)
    ):
        run = join(FrameOffset(offset), decoded([frame]), {}, {})
        near = sorted(periods_of(run))
        read = await store.read(PARTITION, ReadRequest(whole=[ids_key(PREFIX, period) for period in near]))
        fold = Fold(
            run,
            epoch=Epoch(1),
            periods=dict(zip(near, map(read_period, read.whole), strict=True)),
            place=Place(prefix=PREFIX, keeping=KEEPING, knowledge=knowledge, now_s=now_s, elapsed_s=now_s),
        )
        folded = fold.finish(await store.read(PARTITION, fold.request))
        assert await store.apply(PARTITION, folded.request) == Applied()
        folded.learn()
        folds.append(folded)
    return folds[-1]


def expiry_of_hours(folded: Folded) -> list[int]:
    request = folded.request
    return [
        expires_at
        for group, expires_at in zip(request.hashes, request.hash_expiry_s, strict=True)
        if str(group[0]).startswith((f"{PREFIX}h:", f"{PREFIX}ha:"))
    ]


async def test_hours_that_were_written_before_are_not_given_their_end_again() -> None:
    assert set(expiry_of_hours(await fold_two(DAY * 86_400 + 60))) == {0}


@pytest.mark.parametrize("before_s", [1, 60, 3_000])
async def test_hours_about_to_end_are_given_their_end_again(before_s: int) -> None:
    expiry = expiry_of_hours(await fold_two(END_S - before_s))
    assert expiry
    assert set(expiry) == {END_S}


@pytest.mark.parametrize("window", Window)
def test_an_absurd_period_ends_at_a_time_that_redis_takes(window: Window) -> None:
    assert expiry_s(window, [-(10**9), 10**12], 1.0) == [1, EXPIRY_MAX_S]
