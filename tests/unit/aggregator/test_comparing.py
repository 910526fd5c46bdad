"""What differs is told cell by cell, users by name, and what a late log does not decide is left out."""

from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from aggregator.comparing import (
    Fields,
    active_differences,
    counter_differences,
    index_differences,
    indexes_of,
    ledger_entries,
    read_key,
    record_differences,
    scope_of,
    sound_fields,
    state_differences,
)
from services.counter_codec import pack
from services.counters import PartitionState, SourcePosition
from services.identifiers import Epoch, FrameId, FrameOffset
from services.keyspace import COUNT_FIELD
from services.verification import Part
from services.windows import DAY_MS, HOUR_MS

DAY = 20_000
HOURS = read_key(f"h:acme/u/ann/{DAY}")
ACTIVE = read_key(f"ha:acme/t/core/{DAY}")
USERS = [f"user-{number}" for number in range(20)]


def packed(*amounts: int) -> bytes:
    row = np.zeros((1, 9), dtype=np.int64)
    row[0, : len(amounts)] = amounts
    return pack(row, 9)[0]


def bitmap(index: Fields, users: set[str]) -> bytes:
    bits = sum(1 << int(index[user.encode()]) for user in users)
    return bits.to_bytes((bits.bit_length() + 7) // 8, "little")


def index_of(users: list[str]) -> dict[bytes, bytes]:
    entries = {user.encode(): b"%d" % at for at, user in enumerate(users)}
    return entries | {COUNT_FIELD: b"%d" % len(users)}


def test_an_altered_counter_is_told_with_its_window_and_the_counters_that_differ() -> None:
    assert HOURS is not None
    live, log = {b"5": packed(3, 2), b"9": packed(1)}, {b"5": packed(300, 2), b"9": packed(1)}
    [found] = counter_differences(2, HOURS, live, log)
    assert found.place == {
        "organization": "acme",
        "team": None,
        "user": "ann",
        "window": "hour",
        "start": "2024-10-04T01:00:00Z",
        "product": "chat",
    }
    assert (found.partition, found.part) == (2, Part.COUNTERS)
    assert (found.live, found.log) == ({"interactions": 3}, {"interactions": 300})


def test_a_cell_that_only_one_side_has_differs_and_zeros_are_no_nothing() -> None:
    assert HOURS is not None
    [only_live] = counter_differences(0, HOURS, {b"5": packed(0)}, {})
    assert only_live.log is None
    assert only_live.live["interactions"] == 0
    [only_log] = counter_differences(0, HOURS, {}, {b"5": packed(0)})
    assert only_log.live is None
    [broken] = counter_differences(0, HOURS, {b"5": b"\x09x"}, {b"5": packed(0)})
    assert "no numbers" in broken.live


@given(st.permutations(USERS), st.permutations(USERS), st.sets(st.sampled_from(USERS)), st.sets(st.sampled_from(USERS)))
def test_users_are_compared_by_name_whatever_their_ordinals(
    order: list[str], other: list[str], some: set[str], others: set[str]
) -> None:
    assert ACTIVE is not None
    live, log = index_of(order), index_of(other)
    bits = ({b"1": bitmap(live, some)}, {b"1": bitmap(log, others)})
    found = list(active_differences(0, ACTIVE, *bits, indexes_of(live, log)))
    assert [(set(each.live), set(each.log)) for each in found] == (
        [] if some == others else [(some - others, others - some)]
    )
    assert not list(index_differences(0, scope_of("acme/t/core"), live, log))


def test_a_removed_user_is_missing_in_the_index_and_in_the_bitmaps() -> None:
    assert ACTIVE is not None
    log = index_of(USERS)
    live = {name: value for name, value in log.items() if name != b"user-3"}
    [missing] = index_differences(0, scope_of("acme/t/core"), live, log)
    assert missing.place == {"organization": "acme", "team": "core", "user": "user-3"}
    assert (missing.live, missing.log) == (None, "known")
    bits = {b"1": bitmap(log, {"user-3", "user-4"})}
    [found] = active_differences(0, ACTIVE, bits, bits, indexes_of(live, log))
    assert (found.live, found.log) == (["(nobody, ordinal 3)"], ["user-3"])


def test_an_index_that_would_give_an_ordinal_twice_is_told() -> None:
    log = index_of(USERS)
    for wrong in ({COUNT_FIELD: b"3"}, {b"user-3": b"4"}, {b"user-3": b"x"}):
        found = list(index_differences(0, scope_of("acme"), log | wrong, log))
        assert len(found) == 1, wrong


def test_other_hashes_are_compared_field_by_field() -> None:
    def place(field: bytes) -> dict[str, Any]:
        return {"field": field.decode()}

    live, log = {b"1": packed(1), b"2": b"same"}, {b"1": packed(2), b"2": b"same"}
    [found] = record_differences(0, Part.LEDGER, place, live, log, read=ledger_entries)
    assert (found.place, found.live["received"], found.log["received"]) == ({"field": "1"}, 1, 2)
    [gone] = record_differences(0, Part.DIRECTORY, place, {}, {b"u/ann": b"record"})
    assert (gone.live, gone.log) == (None, "record")


def test_a_late_log_speaks_of_the_last_frame_and_of_its_months_only() -> None:
    live = PartitionState(
        epoch=Epoch(1),
        applied_offset=FrameOffset(9),
        frame_id=FrameId(7),
        partitions=1,
        fingerprint="f",
        sources={("events", 0): SourcePosition(next_offset=5, read_up_to_ms=None)},
        months={1: FrameId(3), 2: FrameId(7)},
    )
    late = replace(live, epoch=Epoch(4), sources={}, months={2: FrameId(7)})
    assert not list(state_differences(0, live, late, whole=False))
    assert {each.place["field"] for each in state_differences(0, live, late, whole=True)} == {"sources", "months"}
    [other] = state_differences(0, live, replace(late, months={2: FrameId(8)}), whole=False)
    assert (other.live, other.log) == ("7", "8")
    [frame] = state_differences(0, live, replace(late, frame_id=FrameId(8)), whole=False)
    assert frame.place == {"field": "frame"}


def test_what_begins_before_the_sound_point_is_left_out() -> None:
    sound_ms = DAY * DAY_MS + 5 * HOUR_MS
    hours: Fields = {b"%d" % (hour * 4 + 1): b"v" for hour in range(24)}
    assert sorted(map(int, sound_fields(f"h:acme/{DAY}", hours, sound_ms))) == [21 + 4 * at for at in range(19)]
    assert sound_fields(f"ha:acme/{DAY - 1}", hours, sound_ms) == {}
    assert sound_fields(f"h:acme/{DAY}", hours, None) == hours
    ledger: Fields = {b"%d" % hour: b"v" for hour in range(24)}
    assert sorted(map(int, sound_fields(f"l:events/0/{DAY}", ledger, sound_ms))) == list(range(5, 24))
    index = index_of(USERS)
    assert sound_fields("i:acme", index, sound_ms) == index
