"""The ledger's closed days: read again in turn, and all at once when what they were read from is another by now."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from services import ledger_reading
from services.closed_days import READINGS, ClosedDays
from services.counters import PartitionState, ReadRequest, ReadResult, SourcePosition
from services.identifiers import Epoch, PartitionId
from services.ledger import Ledger
from services.ledger_reading import read_ledger
from services.memory_counters import MemoryCounterStore
from services.settings import Settings, TopicSettings
from services.windows import DAY_MS, HOUR_MS
from tests.support.event_lines import event_line
from tests.support.folded_log import begun, fold_logs
from tests.support.log_of_frames import DIRECTORY, TopicReader

pytestmark = pytest.mark.unit

EVENTS = "events"
FIRST_DAY = 20_000
DAYS = 45
AS_OF_DAY = 43
KNOWN = AS_OF_DAY + 1
"""Days that end before, from the one before the first event on, which is kept too."""

SETTINGS = Settings(topics=TopicSettings(events=EVENTS, directory=DIRECTORY, frames_partitions=2))


class CountingStore(MemoryCounterStore):
    """Counts the hashes that are read."""

    hashes = 0

    async def read(self, partition: PartitionId, request: ReadRequest) -> ReadResult:
        self.hashes += len(request.whole)
        return await super().read(partition, request)

    async def ledger(self, known: ClosedDays | None = None) -> tuple[Ledger, int]:
        """Return the ledger and how many hashes of a slot and source partition were read for it."""
        self.hashes = 0
        ledger = await read_ledger(SETTINGS, self, known=known)
        return ledger, self.hashes // 2


@pytest.fixture
async def store(monkeypatch: pytest.MonkeyPatch) -> CountingStore:
    """Return a store with one event an hour in a source partition."""
    first_ms = FIRST_DAY * DAY_MS
    monkeypatch.setattr(ledger_reading, "now_ms", lambda: first_ms + (DAYS - 1) * DAY_MS)
    monkeypatch.setattr(ledger_reading, "HASHES_PER_READ", 7)
    store = CountingStore(2)
    store.partitions = (await begun(2)).partitions
    lines = [event_line(str(number), first_ms, organizationid=f"org{number % 4}") for number in range(60)]
    await fold_logs(store, TopicReader(2, first_ms=first_ms + 10 * DAY_MS).read(lines))
    stand_at(store, first_ms + AS_OF_DAY * DAY_MS + HOUR_MS)
    return store


def stand_at(store: CountingStore, as_of_ms: int, epochs: Sequence[int] = (1, 1)) -> None:
    position = SourcePosition(next_offset=60, read_up_to_ms=as_of_ms)
    for held, epoch in zip(store.partitions, epochs, strict=True):
        assert held.state is not None
        held.state = replace(
            held.state, epoch=Epoch(epoch), source_partitions={EVENTS: 1}, sources={(EVENTS, 0): position}
        )


async def test_what_is_closed_is_read_in_turn_and_the_ledger_is_the_same(store: CountingStore) -> None:
    whole, everything = await store.ledger()
    known = ClosedDays()
    assert await store.ledger(known) == (whole, everything)
    again, few = await store.ledger(known)
    assert again == whole
    assert few == everything - KNOWN + -(-KNOWN // READINGS)
    assert sum(each.received for each in whole.hours) == 60


async def test_a_closed_row_that_somebody_wrote_to_is_seen_within_so_many_readings(store: CountingStore) -> None:
    known = ClosedDays()
    await store.ledger(known)
    for held in store.partitions:
        for key in [key for key in held.hashes if ":l:" in key]:
            del held.hashes[key]
    seen = [(await store.ledger(known))[0] for _ in range(READINGS)]
    assert seen[0].hours, "all was read at once"
    assert not seen[-1].hours


async def test_another_epoch_an_earlier_as_of_and_a_new_source_partition_are_read_anew(store: CountingStore) -> None:
    known = ClosedDays()
    _, everything = await store.ledger(known)
    state = store.partitions[0].state
    assert isinstance(state, PartitionState)
    earlier_ms = (state.sources[EVENTS, 0].read_up_to_ms or 0) - 1
    stand_at(store, earlier_ms)
    assert (await store.ledger(known))[1] == everything
    stand_at(store, earlier_ms, epochs=(1, 2))
    assert (await store.ledger(known))[1] == everything
    stand_at(store, earlier_ms + 1, epochs=(1, 2))
    assert (await store.ledger(known))[1] < everything


async def test_nothing_is_known_to_be_closed_where_as_of_is_unknown(store: CountingStore) -> None:
    known = ClosedDays()
    for held in store.partitions:
        assert held.state is not None
        held.state = replace(held.state, sources={})
    _, everything = await store.ledger(known)
    assert (await store.ledger(known))[1] == everything
