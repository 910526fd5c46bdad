import asyncio

import pytest

from query_api import unit_reading
from query_api.directory import DirectoryReader
from query_api.slots import SlotReader
from services.counters import ReadRequest, ReadResult, StoreRefused, StoreUnavailable
from services.directory import Thing
from services.identifiers import OrganizationId, PartitionId, TeamId, UserId
from services.keyspace import BUCKETS
from services.memory_counters import MemoryCounterStore
from services.telemetry import Telemetry
from tests.support.api_in_process import PARTITIONS
from tests.support.directory_written import TOPIC, DirectoryWritten

ACME = OrganizationId("acme")


class ReadStore(MemoryCounterStore):
    """Remembers what it was asked for; `before_read` is awaited before each read."""

    def __init__(self) -> None:
        super().__init__(PARTITIONS)
        self.requests: list[ReadRequest] = []
        self.answers: list[ReadResult] = []

    async def before_read(self) -> None:
        pass

    async def read(self, partition: PartitionId, request: ReadRequest) -> ReadResult:
        await self.before_read()
        answer = await super().read(partition, request)
        self.requests.append(request)
        self.answers.append(answer)
        return answer


@pytest.fixture
def store() -> ReadStore:
    return ReadStore()


@pytest.fixture
def directory(store: ReadStore) -> DirectoryReader:
    return DirectoryReader(SlotReader(store, PARTITIONS, Telemetry("api")), TOPIC)


async def test_a_store_without_anything_knows_nobody(directory: DirectoryReader) -> None:
    assert (await directory.organization(ACME)).value is None
    assert (await directory.unit(ACME)).value.users == []
    assert (await directory.tree()).as_of_ms is None


async def test_what_is_written_is_read_as_of_the_topics_time(store: ReadStore, directory: DirectoryReader) -> None:
    written = DirectoryWritten(partitions=PARTITIONS, read_up_to_ms=5_000)
    written.organization("acme", name="Acme")
    written.user("acme", "ada", teamId="core")
    await written.write(store)
    found = await directory.organization(ACME)
    assert found.value is not None
    assert (found.value.name, found.as_of_ms) == ("Acme", 5_000)
    assert [user.id for user in (await directory.unit(ACME)).value.users] == ["ada"]


async def test_a_snapshot_follows_the_revision(store: ReadStore, directory: DirectoryReader) -> None:
    written = DirectoryWritten(partitions=PARTITIONS)
    written.user("acme", "ada")
    await written.write(store)
    before = (await directory.unit(ACME)).value
    assert (await directory.unit(ACME)).value is before
    written.delete(Thing.USER, "acme", "ada")
    await written.write(store)
    assert (await directory.unit(ACME)).value.users == []


async def test_a_user_stands_in_a_team_that_is_unknown_but_not_in_one_that_is_deleted(
    store: ReadStore, directory: DirectoryReader
) -> None:
    written = DirectoryWritten(partitions=PARTITIONS)
    written.user("acme", "ada", teamId="core")
    await written.write(store)
    found = (await directory.user_in_team(ACME, UserId("ada"))).value
    assert found is not None
    assert (found.user.team, found.team) == ("core", None)
    written.team("acme", "core", name="Core")
    await written.write(store)
    found = (await directory.user_in_team(ACME, UserId("ada"))).value
    assert found is not None
    assert found.team is not None
    assert (found.user.team, found.team.name) == (TeamId("core"), "Core")
    written.delete(Thing.TEAM, "acme", "core")
    await written.write(store)
    found = (await directory.user_in_team(ACME, UserId("ada"))).value
    assert found is not None
    assert (found.user.team, found.team) == (None, None)
    assert (await directory.unit(ACME)).value.user[UserId("ada")].team is None


async def test_thousands_of_organizations_are_read_in_one_call_a_slot(
    store: ReadStore, directory: DirectoryReader
) -> None:
    written = DirectoryWritten(partitions=PARTITIONS)
    organizations = [OrganizationId(f"sub-{number}") for number in range(2_000)]
    for organization in organizations:
        written.user(organization, f"user-of-{organization}")
        written.group(organization, "g")
    await written.write(store)
    units = await directory.units(organizations)
    assert set(units) == set(organizations)
    for organization, unit in units.items():
        assert unit.value.persons == {f"user-of-{organization}"}
        assert unit.value.groups == 1
    # Each slot's revisions, then its 500 organizations of two records.
    assert len(store.requests) == PARTITIONS + PARTITIONS
    assert sum(len(request.whole) for request in store.requests) <= 2 * 2_000
    store.requests.clear()
    again = await directory.units(organizations)
    assert len(store.requests) == PARTITIONS
    assert all(again[organization].value is units[organization].value for organization in organizations)


async def test_a_call_reads_no_more_keys_and_records_than_it_may(
    store: ReadStore, directory: DirectoryReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unit_reading, "READ_MAX", 100)
    written = DirectoryWritten(partitions=PARTITIONS)
    organizations = [OrganizationId(f"sub-{number}") for number in range(200)]
    for number, organization in enumerate(organizations):
        for user in range(number % 9):
            written.user(organization, f"u-{user}")
    await written.write(store)
    units = await directory.units(organizations)
    assert [len(units[organization].value.persons) for organization in organizations] == [n % 9 for n in range(200)]
    sizes = [
        len(request.whole) + sum(map(len, answer.whole))
        for request, answer in zip(store.requests, store.answers, strict=True)
    ]
    assert max(sizes) <= 100
    assert len(sizes) < 40


@pytest.mark.parametrize("together", [1, 3])
async def test_units_that_grow_while_they_are_read_are_read_whole(
    store: ReadStore, monkeypatch: pytest.MonkeyPatch, together: int
) -> None:
    written = DirectoryWritten(partitions=1)
    directory = DirectoryReader(SlotReader(store, 1, Telemetry("api")), TOPIC)
    organizations = [OrganizationId(f"sub-{number}") for number in range(together)]
    for organization in organizations:
        written.user(organization, "ada")
    await written.write(store)

    async def grow() -> None:
        if len(store.requests) == 1:
            for organization in organizations[:2]:
                for number in range(9):
                    written.user(organization, f"new-{number}")
            await written.write(store)

    monkeypatch.setattr(store, "before_read", grow)
    units = await directory.units(organizations)
    assert [len(units[organization].value.persons) for organization in organizations] == [10, 10, 1][:together]


async def test_only_what_has_changed_is_read_again(store: ReadStore, directory: DirectoryReader) -> None:
    written = DirectoryWritten(partitions=PARTITIONS)
    organizations = [OrganizationId(f"sub-{number}") for number in range(40)]
    for organization in organizations:
        written.user(organization, "ada")
    await written.write(store)
    before = await directory.units(organizations)
    written.user("sub-7", "bob")
    await written.write(store)
    after = await directory.units(organizations)
    moved = [each for each in organizations if after[each].value is not before[each].value]
    assert moved == ["sub-7"]
    assert after[moved[0]].value.persons == {"ada", "bob"}


async def test_a_unit_too_large_for_one_call_is_read_in_several(
    store: ReadStore, directory: DirectoryReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unit_reading, "READ_MAX", 100)
    written = DirectoryWritten(partitions=PARTITIONS)
    users = {f"u-{number}" for number in range(300)}
    for user in users:
        written.user("acme", user)
    await written.write(store)
    assert (await directory.unit(ACME)).value.persons == users
    calls = [len(request.whole) for request in store.requests]
    assert (len(calls), sum(calls), max(calls)) == (1 + 4, BUCKETS, BUCKETS / 4)


async def test_a_unit_that_changes_between_two_calls_is_read_anew(
    store: ReadStore, directory: DirectoryReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unit_reading, "READ_MAX", 100)
    written = DirectoryWritten(partitions=PARTITIONS)
    for number in range(150):
        written.user("acme", f"u-{number}")
    await written.write(store)

    async def move_everyone() -> None:
        if len(store.requests) == 2:
            for number in range(150):
                written.user("acme", f"u-{number}", teamId="new")
            await written.write(store)

    monkeypatch.setattr(store, "before_read", move_everyone)
    assert {user.team for user in (await directory.unit(ACME)).value.users} == {"new"}


async def test_a_unit_that_never_rests_is_unavailable(
    store: ReadStore, directory: DirectoryReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unit_reading, "READ_MAX", 100)
    written = DirectoryWritten(partitions=PARTITIONS)
    for number in range(150):
        written.user("acme", f"u-{number}")

    async def change() -> None:
        written.user("acme", "u-0")
        await written.write(store)

    monkeypatch.setattr(store, "before_read", change)
    with pytest.raises(StoreUnavailable, match="changes faster"):
        await directory.unit(ACME)


async def test_a_record_that_cannot_be_read_spoils_only_its_own_unit(
    store: ReadStore, directory: DirectoryReader
) -> None:
    written = DirectoryWritten(partitions=PARTITIONS)
    for organization in ("acme", "beta"):
        written.user(organization, "ada")
    await written.write(store)
    for partition in store.partitions:
        for key, fields in partition.hashes.items():
            if "r:beta/" in key:
                fields[b"u/ada"] = b"no record"
    both = asyncio.create_task(directory.units([ACME, OrganizationId("beta")]))
    one = asyncio.create_task(directory.unit(ACME))
    with pytest.raises(StoreRefused, match="a directory record of beta cannot be read"):
        await both
    assert (await one).value.persons == {"ada"}
