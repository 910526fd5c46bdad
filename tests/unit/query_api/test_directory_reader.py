"""The directory's reader: whatever becomes of the store meanwhile, an answer is of one state, and of none before."""

import copy
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from query_api.directory import DirectoryReader
from query_api.slots import SlotReader
from services.counters import ReadRequest, ReadResult, StoreRefused, StoreUnavailable
from services.identifiers import Epoch, FrameOffset, OrganizationId, PartitionId, TeamId, UserId
from services.keyspace import directory_bucket, directory_key, epoch_prefix
from services.memory_counters import MemoryCounterStore
from services.telemetry import Telemetry
from tests.support.folded_log import begun, fold_logs
from tests.support.log_of_frames import DIRECTORY, TopicReader
from tests.unit.aggregator.lines import ORGANIZATIONS, PRESENT, changes

FIRST_MS = 3 * 10**12
EVERY_MS = 20 * 60_000
"""Between two records' broker times."""

MONTHS = range((2026 - 1970) * 12 - 1, (2026 - 1970) * 12 + 5)
ACME = OrganizationId("acme")
CHANGES = changes(st.integers(0, 9))


def of_acme(kind: str, subject: str, version: int, **data: Any) -> bytes:
    """Return an upsert with `data`, a delete without."""
    whole = {
        "specversion": "1.0",
        "id": "c",
        "source": "s",
        "type": f"directory.{kind}",
        "time": "2026-01-01T00:00:00Z",
        "subject": subject,
        "organizationid": ACME,
        "data": {"action": "upsert" if data else "delete", "version": version} | data,
    }
    return json.dumps(whole).encode()


def group(name: str, version: int) -> bytes:
    return of_acme("group", name, version, name=name)


@st.composite
def users_and_teams(draw: st.DrawFn, names: str, events: int) -> list[bytes]:
    """Return events of users, who are in teams, and of teams; each has one of these letters for a name."""
    lines = []
    for version in range(events):
        name, kind = draw(st.sampled_from(names)), draw(st.sampled_from(["user", "user", "team"]))
        data = PRESENT[kind] | {"name": f"T {version}"}
        if kind == "user":
            data = PRESENT[kind] | {"username": f"U {version}", "teamId": draw(st.sampled_from(names))}
        lines.append(of_acme(kind, name, version, **(data if draw(st.integers(0, 5)) else {})))
    return lines


def reader_of(store: MemoryCounterStore) -> DirectoryReader:
    return DirectoryReader(SlotReader(store, len(store.partitions), Telemetry("api")), DIRECTORY)


async def said(reader: DirectoryReader) -> dict[str, Any]:
    """Return everything that a reader says of the tree and of each organization."""
    tree = (await reader.tree()).value
    units = await reader.units(map(OrganizationId, ORGANIZATIONS))
    return {"tree": dict(tree.organizations)} | {
        organization: [
            unit.value.users,
            unit.value.teams,
            unit.value.groups,
            unit.value.licenses,
            [unit.value.month_end(month) for month in MONTHS],
        ]
        for organization, unit in units.items()
    }


class World:
    """Logs of frames and a store that applied them, which can be set back and rebuilt."""

    def __init__(self, store: MemoryCounterStore) -> None:
        self.store = store
        self.saved = copy.deepcopy(store.partitions)
        self._reader = TopicReader(len(store.partitions), first_ms=FIRST_MS)
        self._logs: list[list[bytes]] = [[] for _ in store.partitions]

    async def change(self, lines: Sequence[bytes]) -> None:
        for number, frames in enumerate(self._reader.read(directory=lines)):
            self._logs[number] += frames
        await self._catch_up()

    async def save(self, _: Sequence[bytes]) -> None:
        self.saved = copy.deepcopy(self.store.partitions)

    async def restore(self, _: Sequence[bytes]) -> None:
        """Set the store back to what was saved; the next change brings it forward again."""
        self.store.partitions[:] = copy.deepcopy(self.saved)

    async def rebuild(self, lines: Sequence[bytes]) -> None:
        """Fold a part of the log into the next epoch, and swap."""
        states = [held.state for held in self.store.partitions]
        assert states[0] is not None
        other = await begun(len(states), Epoch(states[0].epoch + 1))
        await fold_logs(other, [log[: len(lines)] for log in self._logs])
        self.store.partitions[:] = other.partitions
        self.saved = copy.deepcopy(other.partitions)

    async def lose(self, lines: Sequence[bytes]) -> None:
        """Begin anew in an emptied store, with a log whose first frames are gone (`aggregator.allow_rebuild`)."""
        other = await begun(len(self.store.partitions))
        for held, log in zip(other.partitions, self._logs, strict=True):
            assert held.state is not None
            held.state = replace(held.state, applied_offset=FrameOffset(min(len(lines), len(log)) - 1))
        self.store.partitions[:] = other.partitions
        self.saved = copy.deepcopy(other.partitions)
        await self._catch_up()

    async def _catch_up(self) -> None:
        rest = []
        for number, log in enumerate(self._logs):
            state = await self.store.state(PartitionId(number))
            assert state is not None
            rest.append(log[state.applied_offset + 1 :])
        await fold_logs(self.store, rest)


STEPS = st.lists(
    st.tuples(
        st.sampled_from([World.change] * 4 + [World.save, World.restore, World.rebuild, World.lose]),
        st.lists(CHANGES, max_size=4),
    ),
    max_size=12,
)


@settings(max_examples=60, deadline=None)
@given(STEPS, st.sampled_from([1, 3]))
async def test_what_is_remembered_is_never_stale(steps: list[Any], partitions: int) -> None:
    world = World(await begun(partitions))
    reader = reader_of(world.store)
    for step, lines in steps:
        await step(world, lines)
        event(step.__name__)
        assert await said(reader) == await said(reader_of(world.store))


async def test_a_unit_that_stands_still_is_read_once() -> None:
    world = World(await begun(1))
    await world.change([group("ann", 1), group("bob", 1)])
    reader = reader_of(world.store)
    before = (await reader.unit(ACME)).value
    await world.change([group("ann", 1)])
    assert (await reader.unit(ACME)).value is before
    await world.change([group("ann", 2)])
    assert (await reader.unit(ACME)).value is not before


async def test_as_many_other_events_in_a_store_begun_anew_are_another_state() -> None:
    world = World(await begun(1))
    await world.change([of_acme("team", "ann", 1, name="A")])
    await world.change([of_acme("team", "bob", 1, name="B")])
    reader = reader_of(world.store)
    assert list((await reader.unit(ACME)).value.teams) == ["ann", "bob"]
    await world.lose([b"its first frame"])
    await world.change([of_acme("team", "cyd", 1, name="C")])
    assert list((await reader.unit(ACME)).value.teams) == ["bob", "cyd"]


class BusyStore(MemoryCounterStore):
    """A store of one partition that applies some frames before each read."""

    def __init__(self, partition: Any, frames: Sequence[bytes], arrivals: Sequence[int]) -> None:
        super().__init__(1)
        self.partitions[0] = copy.deepcopy(partition)
        self.frames = list(frames)
        self.arrivals = list(arrivals)
        self.reads = 0

    async def read(self, partition: PartitionId, request: ReadRequest) -> ReadResult:
        self.reads += 1
        number = self.arrivals.pop(0) if self.arrivals else 0
        arrived, self.frames = self.frames[:number], self.frames[number:]
        quiet = MemoryCounterStore(1)
        quiet.partitions = self.partitions
        await fold_logs(quiet, [arrived])
        return await super().read(partition, request)


async def prefixes_of(lines: Sequence[bytes]) -> tuple[list[Any], list[bytes]]:
    """Return what a partition held after each of these events, none first, and the frames, one an event."""
    store, topics = await begun(1), TopicReader(1, first_ms=FIRST_MS)
    held, frames = [copy.deepcopy(store.partitions[0])], []
    for line in lines:
        [[frame]] = topics.read(directory=[line])
        await fold_logs(store, [[frame]])
        held.append(copy.deepcopy(store.partitions[0]))
        frames.append(frame)
    return held, frames


def quiet_reader(partition: Any) -> DirectoryReader:
    store = MemoryCounterStore(1)
    store.partitions[0] = partition
    return reader_of(store)


def events_before(as_of_ms: int | None) -> int:
    """Return how many events came before an instant, and so must be in an answer as of it."""
    return 0 if as_of_ms is None else (as_of_ms - FIRST_MS) // EVERY_MS


@settings(max_examples=60, deadline=None)
@given(
    users_and_teams("abcdefgh", 30), st.integers(8, 16), st.lists(st.sampled_from([0, 0, 1]), min_size=30, max_size=40)
)
async def test_a_unit_read_in_several_calls_is_of_one_moment_and_not_older_than_it_says(
    lines: list[bytes], begin: int, arrivals: list[int]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("query_api.unit_reading.READ_MAX", 2)
        held, frames = await prefixes_of(lines)
        begin = min(begin, len(frames))
        store = BusyStore(held[begin], frames[begin:], arrivals)
        reader = reader_of(store)
        for _ in range(3):
            store.reads = 0
            try:
                found = await reader.unit(ACME)
            except StoreUnavailable:
                event("changed too fast")
                continue
            moments = held[max(begin, events_before(found.as_of_ms)) : len(lines) - len(store.frames) + 1]
            answers = [(await quiet_reader(moment).unit(ACME)).value for moment in moments]
            assert (found.value.users, found.value.teams) in [(each.users, each.teams) for each in answers]
            event(f"several calls: {store.reads > 2}, overtaken: {store.reads > 4}")


@settings(max_examples=60, deadline=None)
@given(users_and_teams("ab", 20), st.integers(0, 20), st.lists(st.integers(0, 3), max_size=30))
async def test_a_user_and_its_team_are_of_one_moment(lines: list[bytes], begin: int, arrivals: list[int]) -> None:
    held, frames = await prefixes_of(lines)
    begin = min(begin, len(frames))
    store = BusyStore(held[begin], frames[begin:], arrivals)
    for user in ("a", "b"):
        found = await reader_of(store).user_in_team(ACME, UserId(user))
        moments = held[max(begin, events_before(found.as_of_ms)) : len(lines) - len(store.frames) + 1]
        answers = [await moment_of(moment, UserId(user)) for moment in moments]
        assert (None if found.value is None else (found.value.user, found.value.team)) in answers
        event("no user" if found.value is None else "no team" if found.value.team is None else "in a team")


async def test_a_user_that_moves_between_two_reads_is_answered_with_the_team_it_is_in() -> None:
    ann = PRESENT["user"] | {"teamId": "core"}
    lines = [of_acme("team", team, 1, name=team.title()) for team in ("core", "ops")]
    lines += [of_acme("user", "ann", 1, **ann), of_acme("user", "ann", 2, **ann | {"teamId": "ops"})]
    held, frames = await prefixes_of(lines)
    store = BusyStore(held[3], frames[3:], [0, 1])
    found = (await reader_of(store).user_in_team(ACME, UserId("ann"))).value
    assert found is not None
    assert found.team is not None
    assert (found.user.team, found.team.id, found.team.name, store.frames) == ("ops", "ops", "Ops", [])


async def moment_of(partition: Any, user: UserId) -> Any:
    """Return a user and its team as the snapshot of a store that stands still has them."""
    unit = (await quiet_reader(partition).unit(ACME)).value
    found = unit.user.get(user)
    return None if found is None else (found, None if found.team is None else unit.teams.get(TeamId(found.team)))


async def test_a_unit_that_changes_at_every_call_is_unavailable_and_is_read_once_it_rests(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("query_api.unit_reading.READ_MAX", 1)
    lines = [group(f"g-{number % 9}", number) for number in range(60)]
    held, frames = await prefixes_of(lines)
    store = BusyStore(held[20], frames[20:], [1] * 40)
    reader = reader_of(store)
    with pytest.raises(StoreUnavailable, match="faster than it can be read"):
        await reader.unit(ACME)
    store.arrivals.clear()
    assert (await reader.unit(ACME)).value.groups == 9


@pytest.mark.parametrize("value", [b"", b"\xc1", b"\x90", b"\x94\x01\x02\xc4\x01\xc1\x90"])
async def test_a_record_that_cannot_be_read_is_refused_with_a_remedy(value: bytes) -> None:
    world = World(await begun(1))
    await world.change([group("ann", 1)])
    prefix = epoch_prefix("0", Epoch(1))
    key = directory_key(prefix, "acme", directory_bucket("g/ann"))
    world.store.partitions[0].hashes[key] = {b"g/ann": value, b"t/ann": value}
    world.store.partitions[0].hashes[directory_key(prefix, "acme", directory_bucket("t/ann"))] = {b"t/ann": value}
    with pytest.raises(StoreRefused, match="restore a backup"):
        await reader_of(world.store).team(ACME, TeamId("ann"))
