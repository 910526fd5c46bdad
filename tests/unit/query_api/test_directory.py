import pytest

from query_api.directory import DirectoryReader
from query_api.slots import SlotReader
from services.directory import Thing
from services.identifiers import OrganizationId, TeamId, UserId
from services.memory_counters import MemoryCounterStore
from services.telemetry import Telemetry
from tests.support.api_in_process import PARTITIONS
from tests.support.directory_written import TOPIC, DirectoryWritten

ACME = OrganizationId("acme")


@pytest.fixture
def store() -> MemoryCounterStore:
    return MemoryCounterStore(PARTITIONS)


@pytest.fixture
def directory(store: MemoryCounterStore) -> DirectoryReader:
    return DirectoryReader(SlotReader(store, PARTITIONS, Telemetry("api")), TOPIC)


async def test_a_store_without_anything_knows_nobody(directory: DirectoryReader) -> None:
    assert (await directory.organization(ACME)).value is None
    assert (await directory.unit(ACME)).value.users == []
    assert (await directory.tree()).as_of_ms is None


async def test_what_is_written_is_read_as_of_the_topics_time(
    store: MemoryCounterStore, directory: DirectoryReader
) -> None:
    written = DirectoryWritten(partitions=PARTITIONS, read_up_to_ms=5_000)
    written.organization("acme", name="Acme")
    written.user("acme", "ada", teamId="core")
    await written.write(store)
    found = await directory.organization(ACME)
    assert found.value is not None
    assert (found.value.name, found.as_of_ms) == ("Acme", 5_000)
    assert [user.id for user in (await directory.unit(ACME)).value.users] == ["ada"]


async def test_a_snapshot_follows_the_revision(store: MemoryCounterStore, directory: DirectoryReader) -> None:
    written = DirectoryWritten(partitions=PARTITIONS)
    written.user("acme", "ada")
    await written.write(store)
    before = (await directory.unit(ACME)).value
    assert (await directory.unit(ACME)).value is before
    written.delete(Thing.USER, "acme", "ada")
    await written.write(store)
    assert (await directory.unit(ACME)).value.users == []


async def test_a_user_stands_in_a_team_that_is_unknown_but_not_in_one_that_is_deleted(
    store: MemoryCounterStore, directory: DirectoryReader
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
