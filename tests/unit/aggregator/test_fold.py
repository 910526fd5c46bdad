"""The fold against brute force: every cell, whatever the frames and the runs they are grouped in."""

import json
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from aggregator.folding import Folded
from services.counter_codec import unpack
from services.dedup_index import read_period
from services.identifiers import Epoch, PartitionId
from services.keyspace import Kind, Scope, epoch_prefix, index_key, parse_counter_key
from services.memory_counters import MemoryCounterStore
from services.metrics_contract import PRODUCTS
from services.windows import EPOCH, rfc3339, to_ms
from tests.support.folded_log import begun, fold_logs
from tests.support.log_of_frames import FakeRecord, FrameMaker
from tests.unit.aggregator.lines import lines

PARTITION = PartitionId(0)
PREFIX = epoch_prefix("0", Epoch(1))
Cells = dict[tuple[str, Scope, int, int], tuple[int, ...]]


async def fold_all(
    frames: Sequence[bytes], run_sizes: Sequence[int], known_fields: int = 1_000
) -> tuple[MemoryCounterStore, list[Folded]]:
    """Fold a log run by run, of these many frames each, the rest in one; between reads, fields are forgotten."""
    store = await begun(1)
    return store, await fold_logs(store, [frames], run_sizes, known_fields)


def counters_of(store: MemoryCounterStore) -> Cells:
    """Return the counters by kind, scope, window and product, read back from keys and fields."""
    cells: Cells = {}
    for key, fields in store.partitions[0].hashes.items():
        named = parse_counter_key(key, PREFIX)
        if named is None or named.kind not in (Kind.HOURS, Kind.DAYS):
            continue
        for name, value in fields.items():
            place, product = divmod(int(name), len(PRODUCTS))
            window = named.period * 24 + place if named.kind is Kind.HOURS else named.period * 100 + place
            counters = unpack([value])[0].tolist()[: len(PRODUCTS[product].counters)]
            cells[named.kind.value, named.scope, window, product] = tuple(counters)
    return cells


def active_of(store: MemoryCounterStore) -> dict[tuple[str, Scope, int, int], set[bytes]]:
    """Return who is in the bitmaps, by name."""
    held = store.partitions[0]
    names = {
        key: {int(ordinal): user for user, ordinal in fields.items() if user != b"/count"}
        for key, fields in held.hashes.items()
        if key.startswith(f"{PREFIX}i:")
    }
    active = {}
    for key, fields in held.hashes.items():
        named = parse_counter_key(key, PREFIX)
        if named is None or named.kind not in (Kind.ACTIVE_HOURS, Kind.ACTIVE_DAYS):
            continue
        users = names[index_key(PREFIX, named.scope)]
        for name, bitmap in fields.items():
            place, product = divmod(int(name), len(PRODUCTS))
            window = named.period * 24 + place if named.kind is Kind.ACTIVE_HOURS else named.period * 100 + place
            bits = int.from_bytes(bitmap, "little")
            active[named.kind.value[0], named.scope, window, product] = {
                users[at] for at in range(bits.bit_length()) if bits >> at & 1
            }
    return active


def identities_in(store: MemoryCounterStore) -> int:
    """Return how many identities the dedup index says that it holds; its sets must hold as many."""
    held = store.partitions[0]
    periods = [fields for key, fields in held.hashes.items() if key.startswith(f"{PREFIX}x:")]
    said = sum(generation.count for fields in periods for generation in read_period(fields))
    assert said == sum(map(len, held.sets.values()))
    return said


def brute_force(events: Sequence[bytes]) -> tuple[Cells, dict[tuple[str, Scope, int, int], set[bytes]]]:
    """Return counters and active users by the plainest means: a set of identities and dicts of sums."""
    seen: set[tuple[str, str, str]] = set()
    cells: dict[tuple[str, Scope, int, int], list[int]] = {}
    active: dict[tuple[str, Scope, int, int], set[bytes]] = defaultdict(set)
    for event in map(json.loads, events):
        identity = (event["organizationid"], event["source"], event["id"])
        if identity in seen:
            continue
        seen.add(identity)
        product = next(each for each in PRODUCTS if each.event_type == event["type"])
        amounts = [event["data"].get(name, 0) for name in product.counters]
        for scope in _scopes(event):
            for kind, window in _windows(event["time"]):
                at = (kind, scope, window, product.code)
                cells[at] = [a + b for a, b in zip(cells.get(at, [0] * 9), amounts, strict=False)]
                if amounts[0] and scope.user is None:
                    active[at].add(event["subject"].encode())
    return {at: tuple(numbers) for at, numbers in cells.items()}, dict(active)


def _scopes(event: dict[str, Any]) -> list[Scope]:
    organization = event["organizationid"]
    scopes = [Scope(organization=organization), Scope(organization=organization, user=event["subject"])]
    return [*scopes, Scope(organization=organization, team=event["teamid"])] if "teamid" in event else scopes


def _windows(time: str) -> list[tuple[str, int]]:
    moment = datetime.fromisoformat(time)
    month = (moment.year - 1970) * 12 + moment.month - 1
    return [("h", (moment - EPOCH) // (moment.resolution * 3_600_000_000)), ("d", month * 100 + moment.day - 1)]


def log_of(events: Sequence[bytes], poll_sizes: Sequence[int]) -> list[bytes]:
    """Return the frames of one source partition's events, read in polls of these sizes."""
    maker, frames, rest, offset = FrameMaker(1, frame_events=3), [], list(events), 0
    for size in [*poll_sizes, len(rest)]:
        taken, rest = rest[:size], rest[size:]
        records = [
            FakeRecord(offset=offset + at, timestamp=to_ms(EPOCH) + 3 * 10**12, value=line)
            for at, line in enumerate(taken)
        ]
        offset += len(taken)
        if records:
            frames += maker.poll({0: records})[0]
    return frames


sizes = st.lists(st.integers(1, 9), max_size=8)


@settings(max_examples=150, deadline=None)
@given(st.lists(lines(), min_size=1, max_size=40), sizes, sizes, st.sampled_from([2, 20, 1_000]))
async def test_every_cell_and_every_active_user_equals_brute_force(
    events: list[bytes], poll_sizes: list[int], run_sizes: list[int], known_fields: int
) -> None:
    store, folds = await fold_all(log_of(events, poll_sizes), run_sizes, known_fields)
    cells, active = brute_force(events)
    assert counters_of(store) == cells
    assert active_of(store) == active
    assert sum(fold.counted + fold.duplicates for fold in folds) == len(events)
    assert identities_in(store) == sum(fold.counted for fold in folds)


@settings(max_examples=100, deadline=None)
@given(st.lists(lines(), min_size=1, max_size=40), sizes, sizes, sizes)
async def test_the_state_does_not_depend_on_how_frames_are_grouped_in_runs(
    events: list[bytes], poll_sizes: list[int], some: list[int], other: list[int]
) -> None:
    frames = log_of(events, poll_sizes)
    one, _ = await fold_all(frames, some)
    two, _ = await fold_all(frames, other)
    assert one.partitions == two.partitions


@settings(max_examples=50, deadline=None)
@given(st.lists(lines(), min_size=1, max_size=30), st.integers(0, 29))
async def test_a_source_read_again_is_redelivered_and_changes_nothing_but_the_ledger(
    events: list[bytes], again_from: int
) -> None:
    maker = FrameMaker(1)
    records = [FakeRecord(offset=at, timestamp=3 * 10**12, value=line) for at, line in enumerate(events)]
    once, _ = await fold_all(maker.poll({0: records})[0], [])
    again = records[min(again_from, len(records) - 1) :]
    twice, folds = await fold_all([*maker.poll({0: records})[0], *maker.poll({0: again})[0]], [1])
    assert counters_of(twice) == counters_of(once)
    assert active_of(twice) == active_of(once)
    assert folds[-1].redelivered == len(again)
    assert folds[-1].duplicates == folds[-1].counted == 0
    assert folds[-1].oldest_duplicate_s is None


async def test_the_age_told_is_that_of_the_oldest_copy_not_of_the_first() -> None:
    event = {
        "specversion": "1.0",
        "source": "/tests",
        "type": "usage.chat",
        "time": rfc3339(3 * 10**12),
        "subject": "ann",
        "organizationid": "acme",
        "data": {"interactions": 1},
    }
    old, young = (json.dumps(event | {"id": name}).encode() for name in ("old", "young"))
    ages_s = [(old, 9_000), (young, 7), (young, 20), (old, 3_000)]
    records = [
        FakeRecord(offset=at, timestamp=3 * 10**12 + age_s * 1000, value=line)
        for at, (line, age_s) in enumerate(ages_s)
    ]
    _, [fold] = await fold_all(FrameMaker(1).poll({0: records})[0], [])
    assert (fold.counted, fold.duplicates, fold.oldest_duplicate_s) == (2, 2, 3_000)
