"""Directory events folded beside usage: the same records and revisions, however frames and runs are grouped."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from hypothesis import event, given, settings
from hypothesis import strategies as st

from services.counter_codec import unpack
from services.counters import PartitionState
from services.directory import EVENT_TYPES, Thing
from services.directory_records import STATUS_OF_CODE, StoredRecord, decode_record, decode_stored, encode_stored
from services.directory_revision import decode_revision
from services.identifiers import Epoch, PartitionId
from services.keyspace import (
    directory_bucket,
    directory_field,
    directory_key,
    epoch_prefix,
    partition_of_unit,
    revisions_key,
    tags,
    unit_of,
)
from services.ledger import ENTRIES
from services.memory_counters import MemoryCounterStore
from services.windows import HOUR_MS
from tests.support.directory_lines import read_change
from tests.support.directory_oracle import DirectoryOracle
from tests.support.folded_log import begun, fold_logs
from tests.support.log_of_frames import DIRECTORY, TopicReader
from tests.unit.aggregator.lines import both_topics, changes, lines
from tests.unit.aggregator.test_fold import active_of, brute_force, counters_of, sizes

BROKER_MS = 3 * 10**12
BAD = st.sampled_from([b"", b"{}"])
NONE_BAD: st.SearchStrategy[bytes] = st.nothing()
FEW, MANY = st.integers(0, 6), st.integers(0, 200)
"""Versions: that meet each other, and that do not."""

Place = tuple[str, str]


async def folded(
    given_lines: Sequence[tuple[str, bytes]],
    poll_sizes: Sequence[int] = (),
    run_sizes: Sequence[int] = (),
    partitions: int = 1,
) -> MemoryCounterStore:
    store = await begun(partitions)
    reader = TopicReader(partitions, first_ms=BROKER_MS)
    await fold_logs(store, reader.read_all(given_lines, poll_sizes), run_sizes)
    return store


def records_of(store: MemoryCounterStore) -> dict[Place, StoredRecord]:
    """Return the directory's records by unit and field, each looked for where it belongs."""
    found = {}
    for number, held in enumerate(store.partitions):
        prefix = epoch_prefix(tags(len(store.partitions))[number], Epoch(1))
        for key, fields in held.hashes.items():
            if not key.startswith(f"{prefix}r:"):
                continue
            for name, value in fields.items():
                unit = next(
                    each
                    for each in ("/", "acme", "globex", "a%b")
                    if key == directory_key(prefix, each, directory_bucket(name.decode()))
                )
                assert partition_of_unit(unit, len(store.partitions)) == number
                found[unit, name.decode()] = decode_stored(value)
    return found


def revisions_of(store: MemoryCounterStore) -> dict[str, tuple[int, ...]]:
    """Return each unit's revision, records, bytes, and offset and broker time of the last event that changed it."""
    found: dict[str, tuple[int, ...]] = {}
    for number, held in enumerate(store.partitions):
        prefix = epoch_prefix(tags(len(store.partitions))[number], Epoch(1))
        for unit, value in held.hashes.get(revisions_key(prefix), {}).items():
            found[unit.decode()] = decode_revision(value)[:5]
    return found


def ledger_of(store: MemoryCounterStore) -> dict[str, Counter[str]]:
    """Return each topic's ledger summed over slots and hours."""
    found: dict[str, Counter[str]] = {"events": Counter(), DIRECTORY: Counter()}
    for number, held in enumerate(store.partitions):
        prefix = epoch_prefix(tags(len(store.partitions))[number], Epoch(1))
        for topic, sums in found.items():
            for key, fields in held.hashes.items():
                if key.startswith(f"{prefix}l:{topic}/"):
                    for row in unpack(list(fields.values())).tolist():
                        sums.update(dict(zip(ENTRIES, row, strict=False)))
    return found


def expected(
    oracle: DirectoryOracle, given_lines: Sequence[tuple[str, bytes]]
) -> dict[Place, Mapping[str, Any] | None]:
    """Return the present of every thing that the lines name."""
    things = {kind: thing for thing, kind in EVENT_TYPES.items()}
    present: dict[Place, Mapping[str, Any] | None] = {}
    for _, line in given_lines:
        if (change := read_change(line)) is not None:
            thing = things[f"directory.{change.kind}"]
            place = unit_of(thing, change.organization), directory_field(thing, change.subject)
            present[place] = oracle.present(change.kind, change.organization, change.subject)
    return present


def directory_of(given_lines: Sequence[tuple[str, bytes]]) -> list[bytes]:
    return [line for topic, line in given_lines if topic == DIRECTORY]


@settings(max_examples=80, deadline=None)
@given(both_topics(BAD), sizes, sizes, st.sampled_from([1, 2, 3]))
async def test_every_record_is_what_the_oracle_says_and_every_counter_as_without_a_directory(
    given_lines: list[tuple[str, bytes]], poll_sizes: list[int], run_sizes: list[int], partitions: int
) -> None:
    store = await folded(given_lines, poll_sizes, run_sizes, partitions)
    oracle = DirectoryOracle(directory_of(given_lines))
    records = records_of(store)
    assert {
        place: None if stored.record is None else decode_record(stored.record) for place, stored in records.items()
    } == expected(oracle, given_lines)
    if partitions == 1:
        usage = [line for topic, line in given_lines if topic == "events" and line not in (b"", b"{}")]
        assert (counters_of(store), active_of(store)) == brute_force(usage)


@settings(max_examples=60, deadline=None)
@given(st.lists(changes(FEW), min_size=1, max_size=40), sizes, sizes)
async def test_every_months_end_is_what_the_oracle_says(
    of_directory: list[bytes], poll_sizes: list[int], run_sizes: list[int]
) -> None:
    store = await folded([(DIRECTORY, line) for line in of_directory], poll_sizes, run_sizes)
    oracle = DirectoryOracle(of_directory)
    for organization in oracle.organizations_named():
        histories = [
            stored.history
            for (unit, name), stored in records_of(store).items()
            if unit == organization and name.startswith(Thing.USER)
        ]
        for month in range((2026 - 1970) * 12 - 1, (2026 - 1970) * 12 + 6):
            last = [entry for each in histories for entry in [entry for entry in each if entry.month <= month][-1:]]
            states = Counter(STATUS_OF_CODE[entry.status] for entry in last)
            wanted = oracle.month_end(organization, 1970 + month // 12, month % 12 + 1)
            assert {state: count for state, count in states.items() if state} == {
                state: count for state, count in wanted.items() if count
            }


@settings(max_examples=80, deadline=None)
@given(both_topics(BAD), sizes, sizes, sizes, sizes, st.sampled_from([1, 3]))
async def test_the_hashes_do_not_depend_on_how_lines_are_grouped_in_frames_and_frames_in_runs(
    given_lines: list[tuple[str, bytes]],
    some_polls: list[int],
    some_runs: list[int],
    other_polls: list[int],
    other_runs: list[int],
    partitions: int,
) -> None:
    one = await folded(given_lines, some_polls, some_runs, partitions)
    two = await folded(given_lines, other_polls, other_runs, partitions)
    for mine, theirs in zip(one.partitions, two.partitions, strict=True):
        assert (mine.hashes, mine.sets) == (theirs.hashes, theirs.sets)
        if some_polls == other_polls:
            assert mine == theirs


@settings(max_examples=60, deadline=None)
@given(both_topics(NONE_BAD), sizes, sizes, sizes)
async def test_the_state_does_not_depend_on_how_frames_are_grouped_in_runs(
    given_lines: list[tuple[str, bytes]], poll_sizes: list[int], some: list[int], other: list[int]
) -> None:
    one, two = await folded(given_lines, poll_sizes, some), await folded(given_lines, poll_sizes, other)
    assert one.partitions == two.partitions


@settings(max_examples=60, deadline=None)
@given(st.lists(changes(FEW), min_size=1, max_size=25), sizes)
async def test_a_revision_is_how_many_events_changed_a_record_of_its_unit(
    of_directory: list[bytes], run_sizes: list[int]
) -> None:
    changed: Counter[str] = Counter()
    last: dict[str, int] = {}
    store, reader = await begun(1), TopicReader(1, first_ms=BROKER_MS)
    for offset, line in enumerate(of_directory):
        before = records_of(store)
        await fold_logs(store, reader.read(directory=[line]))
        units = {place[0] for place, stored in records_of(store).items() if before.get(place) != stored}
        changed.update(units)
        last |= dict.fromkeys(units, offset)
    stored = records_of(store)
    records = Counter(unit for unit, _ in stored)
    sizes_of = {
        unit: sum(len(encode_stored(each)) for place, each in stored.items() if place[0] == unit) for unit in last
    }
    event(f"unchanging: {len(of_directory) - changed.total() > 0}")
    together = await folded([(DIRECTORY, line) for line in of_directory], (), run_sizes)
    assert revisions_of(store) == revisions_of(together)
    assert revisions_of(together) == {
        unit: (number, records[unit], sizes_of[unit], last[unit], BROKER_MS + last[unit] * HOUR_MS // 3)
        for unit, number in changed.items()
    }


@settings(max_examples=60, deadline=None)
@given(st.lists(changes(MANY), min_size=2, max_size=20), st.data())
async def test_the_records_do_not_depend_on_the_order_of_events_with_a_version_each(
    drawn: list[bytes], data: st.DataObject
) -> None:
    said: dict[object, bytes] = {}
    for line in drawn:
        change = read_change(line)
        assert change is not None
        said.setdefault((change.kind, change.organization, change.subject, change.version), line)
    distinct = list(said.values())
    other = data.draw(st.permutations(distinct))
    one = await folded([(DIRECTORY, line) for line in distinct])
    two = await folded([(DIRECTORY, line) for line in other])
    assert records_of(one) == records_of(two)
    counts = [{unit: records for unit, (_, records, *_) in revisions_of(each).items()} for each in (one, two)]
    assert counts[0] == counts[1]


@settings(max_examples=60, deadline=None)
@given(both_topics(BAD), sizes, sizes, st.sampled_from([1, 2, 5]))
async def test_over_all_slots_what_was_received_is_counted_duplicate_or_dead_lettered(
    given_lines: list[tuple[str, bytes]], poll_sizes: list[int], run_sizes: list[int], partitions: int
) -> None:
    ledger = ledger_of(await folded(given_lines, poll_sizes, run_sizes, partitions))
    for topic, sums in ledger.items():
        of_topic = [line for of, line in given_lines if of == topic]
        assert sums["received"] == len(of_topic)
        assert sums["dead_lettered"] == sum(1 for line in of_topic if line in (b"", b"{}"))
        assert sums["received"] == sums["counted"] + sums["duplicate"] + sums["dead_lettered"]
        assert sums["redelivered"] == 0


@settings(max_examples=60, deadline=None)
@given(both_topics(BAD), st.integers(0, 40), st.integers(0, 40), sizes, st.sampled_from([1, 3]))
async def test_topics_read_again_are_redelivered_and_change_nothing_but_the_ledger(
    given_lines: list[tuple[str, bytes]],
    events_from: int,
    directory_from: int,
    poll_sizes: list[int],
    partitions: int,
) -> None:
    reader = TopicReader(partitions, first_ms=BROKER_MS)
    logs = reader.read_all(given_lines, poll_sizes)
    once, twice = await begun(partitions), await begun(partitions)
    await fold_logs(once, logs)
    again = reader.read_again(events_from, directory_from)
    folds = await fold_logs(twice, [[*log, *more] for log, more in zip(logs, again, strict=True)], [len(logs[0])])
    assert without_ledger(once) == without_ledger(twice)
    redelivered = {
        "events": len(reader.records["events"][events_from:]),
        DIRECTORY: len(reader.records[DIRECTORY][directory_from:]),
    }
    ledgers = ledger_of(once), ledger_of(twice)
    for topic, number in redelivered.items():
        assert ledgers[1][topic] == ledgers[0][topic] + Counter(redelivered=number)
    good = sum(1 for topic in redelivered for record in reader.records[topic] if record.value not in (b"", b"{}"))
    assert sum(fold.counted + fold.duplicates for fold in folds) == good


def without_ledger(store: MemoryCounterStore) -> list[dict[str, dict[bytes, bytes]]]:
    return [{key: fields for key, fields in held.hashes.items() if ":l:" not in key} for held in store.partitions]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(lines(), changes(FEW)), min_size=1, max_size=10), sizes)
async def test_positions_of_both_topics_cover_what_was_read(pairs: list[tuple[bytes, bytes]], runs: list[int]) -> None:
    given_lines = [each for usage, change in pairs for each in (("events", usage), (DIRECTORY, change))]
    store = await folded(given_lines, [2] * len(pairs), runs, 3)
    for number in range(3):
        state: PartitionState | None = await store.state(PartitionId(number))
        assert state is not None
        assert dict(state.source_partitions) == {"events": 1, DIRECTORY: 1}
        assert {topic: at.next_offset for (topic, _), at in state.sources.items()} == {
            "events": len(pairs),
            DIRECTORY: len(pairs),
        }
