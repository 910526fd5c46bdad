"""The canary's events, and its judgement of readings, both ways."""

import json
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.canary_plan import CanaryPlan, Reading, Served, Slot, judge
from services.canary_reading import read_answer
from services.events import received_decoder
from services.metrics_contract import PRODUCTS
from services.windows import HOUR_MS, rfc3339

PLAN = CanaryPlan(name="canary", interval_ms=10_000, lookback_ms=HOUR_MS)
HOUR = 500_000
NOW_MS = HOUR * HOUR_MS + 600_000
"""Ten minutes into an hour."""


def counted(slots: Iterable[int]) -> Served:
    """What is counted of some slots' events, told by the events themselves."""
    sums: dict[str, dict[str, int]] = {}
    names = {product.event_type: product.name for product in PRODUCTS}
    for slot in slots:
        event = json.loads(PLAN.event(slot))
        of_product = sums.setdefault(names[event["type"]], dict.fromkeys(event["data"], 0))
        for counter, amount in event["data"].items():
            of_product[counter] += amount
    return sums


def reading(slots: Iterable[int], as_of_ms: int | None = NOW_MS) -> Reading:
    held = list(slots)
    hours = {
        hour: counted(slot for slot in held if PLAN.time_ms(slot) // HOUR_MS == hour) for hour in PLAN.hours(NOW_MS)
    }
    return Reading(as_of_ms=as_of_ms, hours=hours)


def published(slots: Iterable[int]) -> dict[int, Slot]:
    """Slots that arrived a second after their time."""
    return {slot: Slot(number=slot, broker_ms=PLAN.time_ms(slot) + 1_000) for slot in slots}


def test_the_slots_due_are_those_of_the_hours_that_are_compared_to_the_one_that_begins_now() -> None:
    due = PLAN.due(NOW_MS)
    assert (PLAN.time_ms(due[0]), PLAN.time_ms(due[-1])) == ((HOUR - 1) * HOUR_MS, NOW_MS)
    assert list(PLAN.hours(NOW_MS)) == [HOUR - 1, HOUR]
    assert [len(PLAN.slots_of(hour, NOW_MS)) for hour in PLAN.hours(NOW_MS)] == [360, 61]
    assert PLAN.due(NOW_MS - 1)[-1] == due[-1] - 1


@given(st.integers(min_value=100, max_value=600_000), st.integers(min_value=0, max_value=10 * HOUR_MS))
def test_each_slot_lies_in_exactly_one_hour_whatever_the_interval(interval_ms: int, into_ms: int) -> None:
    plan = CanaryPlan(name="canary", interval_ms=interval_ms, lookback_ms=0)
    now_ms = HOUR * HOUR_MS + into_ms
    begin, end = (plan.slots_of(at, 10**15) for at in (now_ms // HOUR_MS, now_ms // HOUR_MS + 1))
    assert begin.stop == end.start
    assert all(plan.time_ms(slot) // HOUR_MS == now_ms // HOUR_MS for slot in begin[:: max(1, len(begin) - 1)])
    assert list(plan.slots_of(now_ms // HOUR_MS, now_ms)) == list(plan.due(now_ms))


@pytest.mark.parametrize("slot", range(4))
def test_an_event_keeps_the_contract_and_another_interval_is_another_organization(slot: int) -> None:
    event = received_decoder("refuse").decode(PLAN.event(slot))
    assert (event.id, event.organizationid) == (str(slot), "canary-10s")
    assert event.time == rfc3339(slot * 10_000)
    other = CanaryPlan(name="canary", interval_ms=500, lookback_ms=0)
    assert other.organization == "canary-0.5s"


def test_some_events_are_published_twice_and_no_more_than_that() -> None:
    assert {PLAN.copies(slot) for slot in range(100)} == {1, 2}


def test_what_was_published_and_counted_once_is_equal_and_as_old_as_its_newest_event() -> None:
    due = PLAN.due(NOW_MS)
    verdict = judge(PLAN, published(due), reading(due), NOW_MS)
    assert (verdict.missing, verdict.surplus) == (0, 0)
    assert verdict.newest_ms == NOW_MS
    assert verdict.seen == {HOUR - 1: 360, HOUR: 61}


def test_one_event_less_is_missing_and_one_more_is_surplus_in_each_hour() -> None:
    due = PLAN.due(NOW_MS)
    for hour in (HOUR - 1, HOUR):
        slot = PLAN.slots_of(hour, NOW_MS)[7]
        less = judge(PLAN, published(due), reading(each for each in due if each != slot), NOW_MS)
        assert (less.missing, less.surplus) == (1, 0)
        more = judge(PLAN, published(due), reading([*due, slot]), NOW_MS)
        assert (more.missing, more.surplus) == (0, 1)


def test_a_single_counter_of_a_product_that_differs_shows() -> None:
    due = PLAN.due(NOW_MS)
    read = reading(due)
    altered = {product: dict(counters) for product, counters in read.hours[HOUR - 1].items()}
    altered["chat"]["lines"] += 2
    altered["agent"]["interactions"] -= 1
    verdict = judge(PLAN, published(due), Reading(as_of_ms=NOW_MS, hours={**read.hours, HOUR - 1: altered}), NOW_MS)
    assert (verdict.missing, verdict.surplus) == (1, 2)


def test_events_that_came_at_or_after_as_of_may_be_counted_or_not() -> None:
    due = PLAN.due(NOW_MS)
    as_of_ms = NOW_MS - 30_000
    for seen in (due[:-4], due[:-1], due):
        assert judge(PLAN, published(due), reading(seen, as_of_ms), NOW_MS).missing == 0
    assert judge(PLAN, published(due), reading(due[:-5], as_of_ms), NOW_MS).missing == 1


def test_after_a_restart_nothing_is_missing_before_it_is_published_again_and_nothing_too_much() -> None:
    due = PLAN.due(NOW_MS)
    verdict = judge(PLAN, published(due[:10]), reading(due), NOW_MS)
    assert (verdict.missing, verdict.surplus) == (0, 0)


def test_without_as_of_it_is_unknown_what_is_missing_and_without_events_how_old_they_are() -> None:
    due = PLAN.due(NOW_MS)
    verdict = judge(PLAN, published(due), reading([], None), NOW_MS)
    assert (verdict.missing, verdict.surplus, verdict.newest_ms) == (None, 0, None)


def test_an_answer_of_the_api_is_read_and_one_of_other_blocks_is_none() -> None:
    blank = {product.name: dict.fromkeys(product.counters, 0) | {"activeUsers": 0} for product in PRODUCTS}
    block = blank | {"from": rfc3339(HOUR * HOUR_MS), "to": rfc3339((HOUR + 1) * HOUR_MS)}
    answer = {"asOf": rfc3339(NOW_MS), "usage": {"data": [block]}}
    hours = range(HOUR, HOUR + 1)
    read = read_answer(answer, hours)
    assert read.as_of_ms == NOW_MS
    assert read.hours[HOUR]["instruct"] == {"acceptedCount": 0}
    assert read_answer(answer | {"asOf": None}, hours).as_of_ms is None
    with pytest.raises(ValueError, match="no hours"):
        read_answer(answer | {"usage": {"data": [block | {"to": rfc3339((HOUR + 2) * HOUR_MS)}]}}, hours)


def test_events_of_an_hour_that_the_api_leaves_out_are_missing() -> None:
    due = PLAN.due(NOW_MS)
    nothing = read_answer({"asOf": rfc3339(NOW_MS), "usage": {"data": []}}, PLAN.hours(NOW_MS))
    arrived = [slot for slot in published(due).values() if slot.broker_ms < NOW_MS]
    assert judge(PLAN, published(due), nothing, NOW_MS).missing == len(arrived) > 0
