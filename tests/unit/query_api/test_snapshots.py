"""What is remembered of the directory: by exact revision, within its room, and loaded once for all who wait."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from query_api.snapshots import Loaded, Revision, Snapshots
from services.counters import StoreUnavailable
from services.identifiers import Epoch


class Held(list[Any]):
    """A snapshot that is its fields."""


def revision(number: int, epoch: int = 1, records: int = 1) -> Revision:
    return Revision(Epoch(epoch), number, records)


def fields(number: int) -> list[tuple[bytes, bytes]]:
    return [(b"field", b"value")] * number


def snapshots(records_max: int = 100) -> Snapshots[Held]:
    return Snapshots(Held, records_max)


def test_only_the_exact_revision_is_given_back() -> None:
    held = snapshots()
    made = held.put("acme", revision(5), fields(2))
    assert held.get("acme", revision(5)) is made
    for other in (revision(4), revision(6), revision(5, epoch=2), revision(5, records=2)):
        assert held.get("acme", other) is None
    assert held.get("globex", revision(5)) is None


def test_a_units_newer_snapshot_takes_the_place_of_the_older() -> None:
    held = snapshots()
    held.put("acme", revision(5), fields(1))
    newer = held.put("acme", revision(6), fields(1))
    assert (held.get("acme", revision(5)), held.get("acme", revision(6))) == (None, newer)


puts = st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 9), st.booleans()), max_size=40)


@given(puts, st.integers(1, 20))
def test_the_longest_unused_go_when_there_is_no_room_and_never_the_newest(
    steps: list[tuple[str, int, bool]], room: int
) -> None:
    held, expected = snapshots(room), dict[str, int]()
    for unit, size, puts_it in steps:
        if puts_it:
            held.put(unit, revision(1), fields(size))
            expected.pop(unit, None)
            expected[unit] = size
            while sum(expected.values()) + len(expected) > room and len(expected) > 1:
                del expected[next(iter(expected))]
        elif held.get(unit, revision(1)) is not None:
            expected[unit] = expected.pop(unit)
    found = {unit: held.get(unit, revision(1)) for unit in "abcdef"}
    assert {unit: len(made) for unit, made in found.items() if made is not None} == expected


class Store:
    """A store whose unit is at a revision, and whose answers wait to be let go."""

    def __init__(self) -> None:
        self.at = revision(1)
        self.fetches = 0
        self.waiting: asyncio.Queue[asyncio.Event] = asyncio.Queue()

    async def fetch(self, wanted: Revision) -> Loaded:
        self.fetches += 1
        gate, seen = asyncio.Event(), self.at
        self.waiting.put_nowait(gate)
        await gate.wait()
        return seen, fields(seen.number)


async def test_callers_at_the_same_time_share_one_fetch() -> None:
    held, store = snapshots(), Store()
    callers = [asyncio.create_task(held.load("acme", revision(1), store.fetch)) for _ in range(3)]
    (await store.waiting.get()).set()
    made = await asyncio.gather(*callers)
    assert store.fetches == 1
    assert made[0] is made[1] is made[2]


async def test_a_fetch_that_began_before_a_change_does_not_answer_who_has_seen_the_change() -> None:
    held, store = snapshots(), Store()
    early = asyncio.create_task(held.load("acme", revision(1), store.fetch))
    gate = await store.waiting.get()
    store.at = revision(2)
    late = [asyncio.create_task(held.load("acme", revision(2), store.fetch)) for _ in range(2)]
    await asyncio.sleep(0)
    gate.set()
    (await store.waiting.get()).set()
    assert [len(await early), *map(len, await asyncio.gather(*late))] == [1, 2, 2]
    assert store.fetches == 2


@pytest.mark.parametrize("wanted", [revision(1, epoch=2), revision(3, epoch=2)])
async def test_a_fetch_of_another_epoch_does_not_answer(wanted: Revision) -> None:
    held, store = snapshots(), Store()
    store.at = revision(9)
    early = asyncio.create_task(held.load("acme", revision(9), store.fetch))
    gate = await store.waiting.get()
    store.at = wanted
    late = asyncio.create_task(held.load("acme", wanted, store.fetch))
    await asyncio.sleep(0)
    gate.set()
    (await store.waiting.get()).set()
    assert (len(await early), len(await late)) == (9, wanted.number)


async def test_a_fetch_goes_on_when_who_wanted_it_is_gone() -> None:
    held, store = snapshots(), Store()
    gone = asyncio.create_task(held.load("acme", revision(1), store.fetch))
    gate = await store.waiting.get()
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    other = asyncio.create_task(held.load("acme", revision(1), store.fetch))
    await asyncio.sleep(0)
    gate.set()
    assert len(await other) == 1
    assert store.fetches == 1
    assert held.get("acme", revision(1)) is not None


async def test_a_failed_fetch_fails_who_waited_and_nobody_after() -> None:
    held, fates = snapshots(), Counter[str]()

    async def failing(wanted: Revision) -> Loaded:
        await asyncio.sleep(0)
        raise StoreUnavailable("away")

    async def load() -> None:
        try:
            await held.load("acme", revision(1), failing)
        except StoreUnavailable:
            fates["failed"] += 1

    await asyncio.gather(load(), load())
    assert fates["failed"] == 2

    async def good(wanted: Revision) -> Loaded:
        return wanted, fields(1)

    assert len(await held.load("acme", revision(1), good)) == 1


async def test_units_are_loaded_apart() -> None:
    held, store = snapshots(), Store()
    tasks: Sequence[asyncio.Task[Held]] = [
        asyncio.create_task(held.load(unit, revision(1), store.fetch)) for unit in ("acme", "globex")
    ]
    for _ in range(2):
        (await store.waiting.get()).set()
    await asyncio.gather(*tasks)
    assert store.fetches == 2
