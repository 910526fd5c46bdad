"""The dedup index: copies across periods, generations that grow, sizes that learn."""

import numpy as np
import pytest

from aggregator.dedup import GROWTH, RANGES_MIN, additions, copies, lookup, periods_of
from aggregator.known_ids import KnownIds
from aggregator.renewals import Renewals
from aggregator.run import Run, join
from services.dedup_index import PERIOD_MS, SET_TARGET, Generation, read_period
from services.identifiers import FrameOffset
from services.memory_counters import MemoryPartition
from services.windows import DAY_MS, HOUR_MS, rfc3339
from tests.support.log_of_frames import FakeRecord, FrameMaker, decoded

EDGE_MS = 2900 * PERIOD_MS


def run_of(*events: tuple[str, int]) -> Run:
    """Return a run of one frame with an event for each (id, time in ms)."""
    records = [
        FakeRecord(
            offset=at,
            timestamp=EDGE_MS + 100 * DAY_MS,
            value=(
                f'{{"specversion":"1.0","id":"{name}","source":"s","type":"usage.instruct","time":"{rfc3339(time_ms)}",'
                '"subject":"ann","organizationid":"acme","data":{"acceptedCount":1}}'
            ).encode(),
        )
        for at, (name, time_ms) in enumerate(events)
    ]
    frames = [frame for frames in FrameMaker(1, frame_events=100_000).poll({0: records}) for frame in frames]
    return join(FrameOffset(0), decoded(frames), {}, {})


class Index:
    """The index in memory, fed run by run to a worker that remembers nothing."""

    def __init__(self) -> None:
        self.known = KnownIds(0)
        self.held = MemoryPartition()
        self.periods: dict[int, tuple[Generation, ...]] = {}

    def feed(self, run: Run) -> list[bool]:
        """Return which events were copies; the others are in the index afterwards."""
        periods = {period: self.periods.get(period, ()) for period in periods_of(run)}
        texts = [str(identity) for identity in run.identity.tolist()]
        asked = lookup(run, texts, periods, "", self.known, 0)
        members = [
            int(int(member) in self.held.sets.get(str(key), set())) for key, *ids in asked.groups for member in ids
        ]
        copied = copies(run, asked, members)
        added = additions(run, texts, ~copied, periods, "", Renewals(), 0)
        assert not added.sets
        for key, *ids in added.living_sets:
            self.held.sets.setdefault(str(key), set()).update(map(int, ids))
        self.periods |= added.periods
        for key, *fields in added.hashes:
            pairs = zip(fields[::2], fields[1::2], strict=True)
            stored = {str(name).encode(): str(value).encode() for name, value in pairs}
            assert read_period(stored) == self.periods[int(str(key).removeprefix("x:"))]
        return [bool(copy) for copy in copied]


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize(
    ("first_ms", "second_ms", "is_copy"),
    [
        (EDGE_MS, EDGE_MS, True),
        (EDGE_MS, EDGE_MS + DAY_MS, True),
        (EDGE_MS - 1, EDGE_MS + DAY_MS - 1, True),
        (EDGE_MS + DAY_MS - 1, EDGE_MS - 1, True),
        (EDGE_MS - HOUR_MS, EDGE_MS + 23 * HOUR_MS, True),
        (EDGE_MS + 23 * HOUR_MS, EDGE_MS - HOUR_MS, True),
        (EDGE_MS - HOUR_MS, EDGE_MS + 25 * HOUR_MS, False),
        (EDGE_MS + 30 * HOUR_MS, EDGE_MS - 30 * HOUR_MS, False),
    ],
)
def test_a_copy_within_a_day_is_known_also_across_the_edge_of_a_period(
    first_ms: int, second_ms: int, is_copy: bool, together: bool
) -> None:
    index = Index()
    first, second = ("same", first_ms), ("same", second_ms)
    verdicts = index.feed(run_of(first, second)) if together else index.feed(run_of(first)) + index.feed(run_of(second))
    assert verdicts == [False, is_copy]


def test_generations_grow_when_sets_are_full_and_old_ones_are_still_asked() -> None:
    index = Index()
    room = RANGES_MIN * SET_TARGET
    events = [(f"id-{number}", EDGE_MS + 3 * DAY_MS) for number in range(room + 500)]
    assert not any(index.feed(run_of(*events[: room - 10])))
    assert not any(index.feed(run_of(*events[room - 10 :])))
    assert index.periods[2900] == (Generation(RANGES_MIN, room), Generation(RANGES_MIN * GROWTH, 500))
    assert all(index.feed(run_of(*events)))
    sizes = [len(members) for key, members in index.held.sets.items() if "/0/" in key]
    assert len(sizes) == RANGES_MIN
    assert max(sizes) <= 512


def test_a_period_begins_with_the_ranges_that_its_predecessor_asks_for() -> None:
    index = Index()
    events = [(f"id-{number}", EDGE_MS + 3 * DAY_MS) for number in range(8_000)]
    index.feed(run_of(*events, ("next", EDGE_MS + 10 * DAY_MS)))
    assert index.periods[2901] == (Generation(8_000 * 5 // (4 * SET_TARGET), 1),)


def test_a_set_takes_what_hashes_to_its_range_evenly() -> None:
    index = Index()
    index.feed(run_of(*[(f"id-{number}", EDGE_MS) for number in range(6_000)]))
    sizes = np.array([len(members) for members in index.held.sets.values()])
    assert abs(sizes - 6_000 / RANGES_MIN).max() < 100
