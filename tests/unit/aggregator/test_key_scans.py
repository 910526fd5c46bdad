"""Lists of keys are made together, and each holds what was there when it was asked for."""

import asyncio

from aggregator.key_scans import KeyScans, Page
from services.identifiers import Epoch, PartitionId
from services.keyspace import epoch_prefix, state_key, tags

TAGS = tags(4)


class Redis:
    """Gives pages of two keys, one of them twice."""

    def __init__(self, keys: list[str]) -> None:
        self.held = keys
        self.scans = 0

    async def page(self, cursor: int) -> Page:
        self.scans += not cursor
        await asyncio.sleep(0)
        end = cursor + 2
        names = [key.encode() for key in [*self.held[max(0, cursor - 1) : cursor], *self.held[cursor:end]]]
        return (end if end < len(self.held) else 0), names


def key_of(partition: int, epoch: int, name: str) -> str:
    return f"{epoch_prefix(TAGS[partition], Epoch(epoch))}{name}"


async def test_keys_come_by_epoch_once_each_and_of_the_partition_alone() -> None:
    mine = [key_of(1, 1, "h:a/1"), key_of(1, 7, "h:a/1"), key_of(1, 1, "i:{2}")]
    others = [key_of(2, 1, "h:a/1"), state_key(TAGS[1]), "tm:partitions", "tm:{1"]
    found = await KeyScans(TAGS, Redis([*mine, *others]).page).keys(PartitionId(1))
    assert {epoch: sorted(keys) for epoch, keys in found.items()} == {
        1: sorted([mine[0], mine[2]]),
        7: [mine[1]],
    }
    assert await KeyScans(TAGS, Redis([]).page).keys(PartitionId(1)) == {}


async def test_who_asks_during_a_scan_shares_the_next_one() -> None:
    redis = Redis([key_of(number, 1, "h:a/1") for number in range(4)])
    scans = KeyScans(TAGS, redis.page)
    first = asyncio.create_task(scans.keys(PartitionId(0)))
    await asyncio.sleep(0)
    redis.held.insert(0, key_of(3, 1, "new"))
    others = await asyncio.gather(*(scans.keys(PartitionId(number)) for number in (1, 2, 3)))
    assert len((await first)[Epoch(1)]) == 1
    assert [len(each[Epoch(1)]) for each in others] == [1, 1, 2]
    assert redis.scans == 2


async def test_who_is_cancelled_takes_nothing_from_the_others_and_leaves_no_old_list() -> None:
    redis = Redis([key_of(number, 1, "h:a/1") for number in range(4)])
    scans = KeyScans(TAGS, redis.page)
    first, second, third = (asyncio.create_task(scans.keys(PartitionId(number))) for number in (0, 1, 2))
    await asyncio.sleep(0)
    first.cancel()
    assert len((await second)[Epoch(1)]) == 1
    third.cancel()
    await asyncio.gather(first, third, return_exceptions=True)
    redis.held.append(key_of(2, 1, "new"))
    assert len((await scans.keys(PartitionId(2)))[Epoch(1)]) == 2
