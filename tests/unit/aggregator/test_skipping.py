"""What is applied in place of a skipped frame, and which frames are not skipped."""

from dataclasses import replace
from typing import Any

import pytest

from aggregator.skipping import check_hopeless, check_next, request_of
from services.counter_codec import unpack
from services.counters import CRASHES_MAX, Applied, Crash, PartitionState
from services.frames import decode_frame, digest
from services.identifiers import Epoch, FrameOffset
from services.keyspace import epoch_prefix
from services.ledger import ENTRIES
from services.lifecycle import Refused
from services.memory_counters import MemoryCounterStore
from tests.support.folded_log import begun, fold_logs
from tests.support.log_of_frames import TopicReader
from tests.support.written_frames import newer_frame, poison_frame
from tests.unit.aggregator.test_owner import PARTITION, settings_of
from tests.unit.ingest.good_events import compact, event

LEDGER = f"{epoch_prefix('0', Epoch(1))}l:events/0/"


def three_frames() -> list[bytes]:
    """Return frames of 2, 2 and 1 good events, and a dead-lettered record in the last."""
    events = [compact(event(id=str(number))) for number in range(5)]
    [frames] = TopicReader(1, first_ms=3 * 10**12, frame_events=2).read_all(
        [("events", line) for line in [*events, b"bad"]], [2, 2]
    )
    assert len(frames) == 3
    return frames


def ledger_of(store: MemoryCounterStore) -> dict[str, int]:
    values = [
        value
        for key, fields in store.partitions[0].hashes.items()
        if key.startswith(LEDGER)
        for value in fields.values()
    ]
    return dict(zip(ENTRIES, unpack(values).sum(axis=0).tolist(), strict=False))


async def skip(store: MemoryCounterStore, value: bytes) -> int | None:
    state = await store.state(PARTITION)
    assert state is not None
    request, events = await request_of(settings_of(), store, PARTITION, state, value)
    assert await store.apply(PARTITION, request) == Applied()
    return events


async def test_a_skipped_frame_leaves_its_events_alone_unexplained_in_the_ledger() -> None:
    frames = three_frames()
    store = await begun(1)
    await fold_logs(store, [frames[:1]])
    assert await skip(store, frames[1]) == 2
    await fold_logs(store, [frames[2:]])
    whole = await begun(1)
    await fold_logs(whole, [frames])
    held, other = store.partitions[0].state, whole.partitions[0].state
    assert held is not None
    assert other is not None
    assert (held.sources, held.source_partitions, held.frame_id) == (
        other.sources,
        other.source_partitions,
        other.frame_id,
    )
    assert ledger_of(store) == ledger_of(whole) | {"counted": 3}
    assert ledger_of(whole) == {"received": 6, "counted": 5, "duplicate": 0, "redelivered": 0, "dead_lettered": 1}


async def test_a_skipped_frame_that_comes_again_is_counted_once() -> None:
    frames = three_frames()
    store = await begun(1)
    await fold_logs(store, [frames[:1]])
    await skip(store, frames[1])
    await fold_logs(store, [[*frames[2:], frames[1], frames[1]]])
    assert ledger_of(store) == {"received": 6, "counted": 5, "duplicate": 0, "redelivered": 2, "dead_lettered": 1}


async def test_bytes_that_are_no_frame_move_the_partition_on_and_nothing_else() -> None:
    store = await begun(1)
    await fold_logs(store, [three_frames()])
    before = store.partitions[0].state
    assert before is not None
    hashes = {key: dict(fields) for key, fields in store.partitions[0].hashes.items()}
    assert await skip(store, b"rubbish") is None
    assert store.partitions[0].hashes == hashes
    assert store.partitions[0].state == replace(before, applied_offset=FrameOffset(3), frame_id=digest(b"rubbish"))


async def test_a_frame_whose_fold_raises_is_known_by_its_bytes() -> None:
    store = await begun(1)
    poison = poison_frame(settings_of())
    assert await skip(store, poison) == 1
    state = store.partitions[0].state
    assert state is not None
    assert state.frame_id == digest(poison) != decode_frame(poison).frame_id


def standing(**changes: Any) -> PartitionState:
    fields: dict[str, Any] = {
        "epoch": Epoch(1),
        "applied_offset": FrameOffset(4),
        "frame_id": None,
        "partitions": 1,
        "fingerprint": "f",
    }
    return PartitionState(**(fields | changes))


@pytest.mark.parametrize(
    ("state", "offset", "said"),
    [
        (None, 0, "was not begun"),
        (standing(partitions=2), 5, "made with 2 partitions"),
        (standing(), 4, "was applied already: only the next one, at 5"),
        (standing(), 6, "comes later: only the next one, at 5"),
    ],
)
def test_only_the_next_frame_of_this_deployment_is_skipped(
    state: PartitionState | None, offset: int, said: str
) -> None:
    with pytest.raises(Refused, match=said):
        check_next(settings_of(), PARTITION, FrameOffset(offset), state)
    check_next(settings_of(), PARTITION, FrameOffset(5), standing())


def crashed(count: int, last: int = 5) -> PartitionState:
    crash = Crash(first=FrameOffset(5), last=FrameOffset(last), cause="a bug", count=count)
    return standing(crash=crash)


@pytest.mark.parametrize(
    ("state", "said"),
    [
        (standing(), "no workers failed on it"),
        (crashed(CRASHES_MAX - 1), "4 workers failed"),
        (crashed(CRASHES_MAX, last=9), "no workers failed on it"),
    ],
)
def test_a_frame_that_may_be_folded_is_not_skipped(state: PartitionState, said: str) -> None:
    with pytest.raises(Refused, match=f"{said}.*--force"):
        check_hopeless(PARTITION, FrameOffset(5), state, poison_frame(settings_of()))


def test_a_frame_of_a_newer_release_is_not_skipped() -> None:
    with pytest.raises(Refused, match=r"good for another release.*--force"):
        check_hopeless(PARTITION, FrameOffset(5), standing(), newer_frame(settings_of()))


def test_a_frame_that_ended_five_workers_and_bytes_that_are_none_are_skipped() -> None:
    check_hopeless(PARTITION, FrameOffset(5), crashed(CRASHES_MAX), poison_frame(settings_of()))
    check_hopeless(PARTITION, FrameOffset(5), standing(), b"rubbish")
    check_hopeless(PARTITION, FrameOffset(5), standing(), None)
