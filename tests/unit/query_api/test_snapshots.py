"""What is remembered of the directory: by exact revision, within its room, and loaded once for all who wait."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from query_api.snapshots import Fields, Loaded, Revision, Snapshots
from services.counters import StoreRefused, StoreUnavailable
from services.directory_revision import StoredRevision
from services.identifiers import Epoch


def at(number: int, *, epoch: int = 1, offset: int = 0) -> Revision:
    return Revision(Epoch(epoch), StoredRevision(number, records=1, size=1, offset=offset, broker_ms=0, buckets=1))


def names(unit: str, fields: Fields, _: list[str] | None) -> list[str]:
    if unit == "broken":
        raise StoreRefused("broken cannot be read")
    return [name.decode() for name, _ in fields]


class Source:
    """Gives each unit a record that is named after its revision, one batch a unit, when it is let."""

    def __init__(self, **numbers: int) -> None:
        self.numbers = numbers
        self.fetched: list[str] = []
        self.asked = asyncio.Event()
        self.let: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self.taken: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self.failing: dict[str, Exception] = {}

    async def fetch(self, wanted: Mapping[str, Revision]) -> AsyncIterator[Sequence[Loaded]]:
        for unit in wanted:
            self.fetched.append(unit)
            number = self.numbers[unit]
            self.asked.set()
            await self.let[unit].wait()
            if unit in self.failing:
                raise self.failing[unit]
            yield [(unit, at(number), [(f"{unit}@{number}".encode(), b"")])]
            self.taken[unit].set()

    def let_all(self) -> None:
        for unit in self.numbers:
            self.let[unit].set()


@pytest.fixture
def snapshots() -> Snapshots[list[str]]:
    return Snapshots(names)


async def begun(source: Source, snapshots: Snapshots[list[str]], *units: str) -> asyncio.Task[Mapping[str, list[str]]]:
    """Begin to load units, and return when the first of them is being fetched."""
    source.asked.clear()
    task = asyncio.create_task(snapshots.load({unit: at(source.numbers[unit]) for unit in units}, source.fetch))
    await source.asked.wait()
    return task


async def test_callers_at_the_same_time_share_the_fetch_of_what_both_want(snapshots: Snapshots[list[str]]) -> None:
    source = Source(a=1, b=1, c=1)
    one = await begun(source, snapshots, "a", "b")
    other = await begun(source, snapshots, "c", "b")
    source.let_all()
    assert await other == {"c": ["c@1"], "b": ["b@1"]}
    assert await one == {"a": ["a@1"], "b": ["b@1"]}
    assert sorted(source.fetched) == ["a", "b", "c"]
    assert (await other)["b"] is (await one)["b"]


async def test_a_fetch_goes_on_when_the_one_who_wanted_it_is_gone(snapshots: Snapshots[list[str]]) -> None:
    source = Source(a=1, b=1)
    caller = await begun(source, snapshots, "a", "b")
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    source.let_all()
    await source.taken["b"].wait()
    assert snapshots.get("b", at(1)) == ["b@1"]
    assert snapshots.get("a", at(1)) == ["a@1"]
    assert source.fetched == ["a", "b"]


async def test_one_who_is_gone_takes_nothing_from_the_others(snapshots: Snapshots[list[str]]) -> None:
    source = Source(a=1)
    gone = await begun(source, snapshots, "a")
    stays = asyncio.create_task(snapshots.load({"a": at(1)}, source.fetch))
    await asyncio.sleep(0)
    gone.cancel()
    source.let_all()
    assert await stays == {"a": ["a@1"]}
    assert source.fetched == ["a"]


@pytest.mark.parametrize("wanted", [at(2), at(1, epoch=2), at(1, offset=9)])
async def test_what_began_too_early_to_have_the_wanted_revision_is_fetched_again(
    snapshots: Snapshots[list[str]], wanted: Revision
) -> None:
    source = Source(a=1)
    early = await begun(source, snapshots, "a")
    source.numbers["a"] = 2
    late = asyncio.create_task(snapshots.load({"a": wanted}, source.fetch))
    await asyncio.sleep(0)
    source.let_all()
    assert await early == {"a": ["a@1"]}
    assert await late == {"a": ["a@2"]}
    assert snapshots.get("a", at(2)) == ["a@2"]


async def test_a_fetch_that_fails_fails_for_all_who_wait_for_what_it_has_not_fetched(
    snapshots: Snapshots[list[str]],
) -> None:
    source = Source(a=1, b=1, c=1)
    source.failing["b"] = StoreUnavailable("away")
    everything = await begun(source, snapshots, "a", "b", "c")
    others = [asyncio.create_task(snapshots.load({unit: at(1)}, source.fetch)) for unit in ("a", "b", "c")]
    await asyncio.sleep(0)
    source.let_all()
    with pytest.raises(StoreUnavailable):
        await everything
    found = await asyncio.gather(*others, return_exceptions=True)
    assert found[0] == {"a": ["a@1"]}
    assert [type(each) for each in found[1:]] == [StoreUnavailable, StoreUnavailable]
    source.failing.clear()
    assert await snapshots.load({"c": at(1)}, source.fetch) == {"c": ["c@1"]}


async def test_a_unit_that_cannot_be_made_fails_alone(snapshots: Snapshots[list[str]]) -> None:
    source = Source(broken=1, a=1)
    source.let_all()
    with pytest.raises(StoreRefused):
        await snapshots.load({"broken": at(1), "a": at(1)}, source.fetch)
    assert snapshots.get("a", at(1)) == ["a@1"]


async def test_a_unit_can_be_loaded_anew_while_the_rest_of_its_batch_is_on_its_way(
    snapshots: Snapshots[list[str]],
) -> None:
    slow, quick = Source(a=1, b=1), Source(a=2)
    quick.let_all()
    both = await begun(slow, snapshots, "a", "b")
    slow.let["a"].set()
    await slow.taken["a"].wait()
    assert await snapshots.load({"a": at(2)}, quick.fetch) == {"a": ["a@2"]}
    slow.let_all()
    assert await both == {"a": ["a@1"], "b": ["b@1"]}
    assert snapshots.get("a", at(2)) == ["a@2"]


def test_only_the_very_revision_is_remembered(snapshots: Snapshots[list[str]]) -> None:
    made = snapshots.put("a", at(2), [(b"x", b"")])
    assert snapshots.get("a", at(2)) is made
    others: Iterable[Revision] = (at(1), at(3), at(2, epoch=2), at(2, offset=9))
    assert [snapshots.get("a", other) for other in others] == [None] * 4
    assert snapshots.get("b", at(2)) is None


def test_a_units_newer_snapshot_takes_the_place_of_the_older(snapshots: Snapshots[list[str]]) -> None:
    snapshots.put("a", at(5), [(b"x", b"")])
    newer = snapshots.put("a", at(6), [(b"y", b"")])
    assert (snapshots.get("a", at(5)), snapshots.get("a", at(6))) == (None, newer)


puts = st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 9), st.booleans()), max_size=40)


@given(puts, st.integers(1, 20))
def test_the_longest_unused_go_when_there_is_no_room_and_never_the_newest(
    steps: list[tuple[str, int, bool]], room: int
) -> None:
    held, expected = Snapshots(names, records_max=room), dict[str, int]()
    for unit, size, puts_it in steps:
        if puts_it:
            held.put(unit, at(1), [(b"x", b"")] * size)
            expected.pop(unit, None)
            expected[unit] = size
            while sum(expected.values()) + len(expected) > room and len(expected) > 1:
                del expected[next(iter(expected))]
        elif held.get(unit, at(1)) is not None:
            expected[unit] = expected.pop(unit)
    found = {unit: held.get(unit, at(1)) for unit in "abcdef"}
    assert {unit: len(made) for unit, made in found.items() if made is not None} == expected
