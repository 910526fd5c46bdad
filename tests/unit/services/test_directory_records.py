"""Stored records: whatever order changes come in, and however often, they amount to the same."""

from collections.abc import Iterable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.directory import Status, Thing
from services.directory_records import (
    MONTHS_MAX,
    STATUS_CODES,
    DirectoryChange,
    MonthEntry,
    StoredRecord,
    decode_record,
    decode_stored,
    encode_record,
    encode_stored,
    merged,
    month_of,
)
from services.identifiers import OrganizationId
from services.windows import DAY_MS, first_day_of_month

STATES = (*Status, None)


def change(
    version: int, time_ms: int, status: Status | None = Status.REGISTERED, thing: Thing = Thing.USER, text: str = ""
) -> DirectoryChange:
    """Return a user's change, whose record tells it from others; a delete without a status."""
    gone = status is None if thing is Thing.USER else text == "gone"
    return DirectoryChange(
        thing=thing,
        organization=OrganizationId("acme"),
        subject="ann",
        version=version,
        time_ms=time_ms,
        status=status if thing is Thing.USER else None,
        record=None if gone else encode_record({"version": version, "text": text}),
    )


def all_merged(changes: Iterable[DirectoryChange]) -> StoredRecord | None:
    held: StoredRecord | None = None
    for each in changes:
        held = merged(held, each) or held
    return held


def begin_ms(month: int) -> int:
    return first_day_of_month(month) * DAY_MS


NEAR_EDGES = st.builds(
    lambda month, distance: begin_ms(month) + distance, st.integers(-3, 130), st.sampled_from([-1, 0, 1, 5 * DAY_MS])
)


@st.composite
def changes_of_a_user(draw: st.DrawFn) -> list[DirectoryChange]:
    """Changes with a version each, at moments some of which are the same."""
    moments = draw(st.lists(NEAR_EDGES, min_size=1, max_size=6))
    versions = draw(st.lists(st.integers(0, 40), unique=True, min_size=1, max_size=12))
    return [change(v, draw(st.sampled_from(moments)), draw(st.sampled_from(STATES))) for v in versions]


@given(changes_of_a_user(), st.data())
def test_any_order_of_changes_with_a_version_each_gives_the_same_record(
    changes: list[DirectoryChange], data: st.DataObject
) -> None:
    other = data.draw(st.permutations(changes))
    assert all_merged(changes) == all_merged(other)


@given(changes_of_a_user(), st.data())
def test_a_change_that_was_merged_before_changes_nothing(changes: list[DirectoryChange], data: st.DataObject) -> None:
    held = all_merged(changes)
    assert merged(held, data.draw(st.sampled_from(changes))) is None


@given(changes_of_a_user())
def test_the_present_is_the_highest_versions_and_each_month_its_last_changes(changes: list[DirectoryChange]) -> None:
    held = all_merged(changes)
    newest = max(changes, key=lambda each: each.version)
    assert held is not None
    assert (held.version, held.time_ms, held.record) == (newest.version, newest.time_ms, newest.record)
    last = {}
    for each in sorted(changes, key=lambda each: (each.time_ms, each.version)):
        last[month_of(each.time_ms)] = each
    assert held.history == tuple(
        MonthEntry(month, each.time_ms, each.version, STATUS_CODES[each.status]) for month, each in sorted(last.items())
    )


def test_a_repeated_version_never_changes_the_present() -> None:
    first = change(3, begin_ms(10), text="first")
    held = all_merged([first, change(3, begin_ms(10) + 5, Status.DEACTIVATED, text="second")])
    assert held is not None
    assert (held.time_ms, held.record) == (first.time_ms, first.record)


def test_a_repeated_version_of_the_same_moment_changes_nothing() -> None:
    held = all_merged([change(3, begin_ms(10))])
    assert merged(held, change(3, begin_ms(10), Status.DEACTIVATED, text="another")) is None


def test_a_change_that_comes_late_changes_its_month_and_not_the_present() -> None:
    now = change(9, begin_ms(10), Status.DEACTIVATED)
    held = all_merged([now, change(2, begin_ms(8), Status.INVITED), change(1, begin_ms(8) - 1, Status.REGISTERED)])
    assert held is not None
    assert (held.version, held.record) == (9, now.record)
    assert [(entry.month, entry.status) for entry in held.history] == [(7, 1), (8, 3), (10, 2)]


def test_of_one_moment_the_higher_version_is_the_months_last() -> None:
    pair = [change(5, begin_ms(8), Status.DEACTIVATED), change(4, begin_ms(8), Status.REGISTERED)]
    for changes in (pair, pair[::-1]):
        held = all_merged(changes)
        assert held is not None
        assert [entry.status for entry in held.history] == [STATUS_CODES[Status.DEACTIVATED]]


def test_a_delete_leaves_its_version_and_month_behind() -> None:
    held = all_merged([change(5, begin_ms(3), None), change(4, begin_ms(2))])
    assert held is not None
    assert (held.version, held.record) == (5, None)
    assert [(entry.month, entry.status) for entry in held.history] == [(2, 1), (3, 0)]
    back = merged(held, change(6, begin_ms(4), Status.INVITED))
    assert back is not None
    assert back.record is not None


MANY_MONTHS = st.lists(st.integers(-20, 200), unique=True, min_size=MONTHS_MAX - 2, max_size=MONTHS_MAX + 30)


@given(MANY_MONTHS)
def test_the_newest_eighty_months_are_kept_whatever_order_they_come_in(months: list[int]) -> None:
    changes = [change(at, begin_ms(month)) for at, month in enumerate(months)]
    ascending = sorted(changes, key=lambda each: each.time_ms)
    for order in (changes, changes[::-1], ascending, ascending[::-1]):
        held = all_merged(order)
        assert held is not None
        assert [entry.month for entry in held.history] == sorted(months)[-MONTHS_MAX:]
        assert held.version == len(months) - 1


def test_a_month_before_the_eighty_that_are_kept_changes_nothing() -> None:
    held = all_merged(change(month, begin_ms(month)) for month in range(1, MONTHS_MAX + 1))
    assert merged(held, change(0, begin_ms(0))) is None
    assert merged(held, change(0, begin_ms(1))) is None
    longer = merged(held, change(99, begin_ms(0)))
    assert longer is not None
    assert [entry.month for entry in longer.history] == list(range(1, MONTHS_MAX + 1))


@pytest.mark.parametrize("thing", [thing for thing in Thing if thing is not Thing.USER])
def test_other_things_have_no_months(thing: Thing) -> None:
    held = all_merged([change(2, begin_ms(3), thing=thing, text="two"), change(1, begin_ms(2), thing=thing)])
    assert held is not None
    assert held.history == ()
    assert held.record is not None
    assert decode_record(held.record) == {"version": 2, "text": "two"}
    assert merged(held, change(1, begin_ms(9), thing=thing, text="late")) is None
    gone = merged(held, change(3, begin_ms(1), thing=thing, text="gone"))
    assert gone is not None
    assert (gone.version, gone.record) == (3, None)


@given(changes_of_a_user())
def test_a_stored_record_comes_back_as_it_was(changes: Sequence[DirectoryChange]) -> None:
    held = all_merged(changes)
    assert held is not None
    assert decode_stored(encode_stored(held)) == held
