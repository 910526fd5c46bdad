"""What holds of every plan, whatever the figures."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.capacity.calls import Limits
from services.capacity.cells import rate_given_any
from services.capacity.costs import Role
from services.capacity.demand import Demand, WrongDemand
from services.capacity.disks import Retention
from services.capacity.memory import kept_of
from services.capacity.plan import Choices, Plan, plan
from services.capacity.population import partition_shares, sizes, users_of
from services.capacity.sizing import busiest, fewest, fullest

pytestmark = pytest.mark.unit

DAY_S = 86_400.0
KEPT = kept_of(45 * DAY_S, 761 * DAY_S, 37 * DAY_S)
CHOICES = Choices(keeps=Retention(), limits=Limits(), factors=dict.fromkeys(Role, 1.0))
MIDDLE = Demand(events_per_second=600, peak_per_second=2_400, users=500_000, organizations=1_000, teams=25_000)


def planned(**changes: object) -> Plan:
    return plan(replace(MIDDLE, **changes), KEPT, CHOICES)  # type: ignore[arg-type]


@given(st.integers(1, 200_000), st.none() | st.floats(0.001, 0.9))
@settings(max_examples=30, deadline=None)
def test_sizes_are_all_of_the_events_and_the_largest_has_its_share(organizations: int, largest: float | None) -> None:
    if largest is not None and largest * organizations < 1:
        return
    of = sizes(organizations, largest)
    assert float(np.sum(of.count)) == organizations
    assert float(np.sum(of.count * of.share)) == pytest.approx(1)
    if largest is not None and organizations > 1:
        assert float(of.share[0]) == pytest.approx(largest, rel=0.01)
    assert float(np.sum(of.count * users_of(of, 2 * organizations))) == pytest.approx(2 * organizations)


@pytest.mark.parametrize("partitions", [1, 16, 64])
def test_partitions_share_all_events_and_none_has_less_than_the_largest_organization(partitions: int) -> None:
    shares = partition_shares(50, None, partitions)
    assert float(np.sum(shares)) == pytest.approx(1)
    assert float(shares[0]) >= float(sizes(50, None).share[0])


@given(st.floats(1.001, 10_000))
def test_events_of_an_active_day_have_the_mean_that_they_should(mean: float) -> None:
    rate = rate_given_any(mean)
    assert rate / -np.expm1(-rate) == pytest.approx(mean, rel=1e-3)


def test_the_busiest_worker_has_the_largest_partition_and_its_number_of_the_others() -> None:
    shares = np.array([0.4, 0.2, 0.2, 0.1, 0.1])
    assert [busiest(shares, workers) for workers in (1, 2, 3, 4, 5, 9)] == pytest.approx(
        [1.0, 0.7, 0.55, 0.55, 0.4, 0.4]
    )


@given(st.floats(0.01, 20), st.floats(0.1, 1))
@settings(max_examples=40, deadline=None)
def test_workers_are_as_few_as_keep_each_below_its_limit(load: float, most: float) -> None:
    shares = partition_shares(200, 0.05, 64)
    workers = fewest(64, lambda number: load * busiest(shares, number) <= most)
    if workers is None:
        assert load * float(shares[0]) > most
    else:
        assert load * busiest(shares, workers) <= most
        assert workers == 1 or load * busiest(shares, workers - 1) > most


@given(st.integers(1, 64))
@settings(max_examples=20, deadline=None)
def test_slots_placed_by_load_fill_no_master_more_than_partitions_given_out_by_number(masters: int) -> None:
    shares = partition_shares(200, 0.05, 64)
    assert 1 / masters - 1e-9 <= fullest(shares, masters) <= busiest(shares, masters) + 1e-9
    assert fullest(shares, masters) >= float(shares[0])


def test_more_of_anything_never_needs_less() -> None:
    less, more = planned(), planned(events_per_second=900.0, peak_per_second=3_600.0)
    assert more.memory.used > less.memory.used
    assert more.cores > less.cores
    assert more.disks.all > less.disks.all
    assert planned(users=700_000).memory.used > less.memory.used
    assert planned(teams=100_000).memory.used > less.memory.used
    assert planned(id_length=64).memory.used > less.memory.used
    assert planned(active_days=25.0).memory.bytes["d"] > less.memory.bytes["d"]


def test_identities_follow_their_retention_and_nothing_else_does() -> None:
    short = plan(MIDDLE, kept_of(45 * DAY_S, 761 * DAY_S, 9 * DAY_S), CHOICES)
    long = planned()
    assert short.memory.bytes["x"] == pytest.approx(long.memory.bytes["x"] * 16 / 44)
    assert short.memory.bytes["d"] == long.memory.bytes["d"]


def test_one_organization_with_everything_ends_on_one_core_and_no_number_of_workers_helps() -> None:
    found = planned(largest_share=0.9, events_per_second=30_000.0, peak_per_second=200_000.0)
    assert found.aggregators is None
    assert not found.holds
    assert "no worker may be busier than 60%" in found.refusal or "more memory" in found.refusal


def test_a_redis_cluster_is_asked_for_when_memory_or_the_thread_is_not_enough() -> None:
    assert plan(MIDDLE, KEPT, replace(CHOICES, node_bytes=256 * 2.0**30)).redis.cluster is False
    small_nodes = plan(MIDDLE, KEPT, replace(CHOICES, node_bytes=24 * 2.0**30)).redis
    assert small_nodes.masters_by_load == 1
    assert small_nodes.masters == small_nodes.masters_by_memory
    assert small_nodes.cluster
    assert small_nodes.fullest.resident <= 24 * 2.0**30
    assert plan(MIDDLE, KEPT, replace(CHOICES, node_bytes=2.0**30)).redis.masters is None


def test_a_slower_machine_needs_more_workers_and_no_more_memory() -> None:
    slow = plan(MIDDLE, KEPT, replace(CHOICES, factors=dict.fromkeys(Role, 8.0)))
    assert slow.aggregators > planned().aggregators  # type: ignore[operator]
    assert slow.memory.used == pytest.approx(planned().memory.used, rel=0.01)


def test_catching_up_takes_longer_after_a_longer_outage_and_never_ends_without_room() -> None:
    hour, day = planned(), plan(MIDDLE, KEPT, replace(CHOICES, outage_s=DAY_S))
    assert hour.catch_up_s is not None
    assert day.catch_up_s == pytest.approx(24 * hour.catch_up_s)
    assert hour.capacity > MIDDLE.peak_per_second


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"peak_per_second": 1.0}, "peak"),
        ({"users": 10}, "users"),
        ({"active_days": 40.0}, "active-days"),
        ({"largest_share": 0.0001}, "largest-organization"),
        ({"events_per_second": 0.1}, "users"),
        ({"product_shares": (1.0, 1.0, 0.0, 0.0)}, "mix"),
    ],
)
def test_a_demand_that_contradicts_itself_is_refused_by_its_field(changes: dict[str, object], field: str) -> None:
    with pytest.raises(WrongDemand, match=f"^{field}"):
        replace(MIDDLE, **changes)  # type: ignore[arg-type]
