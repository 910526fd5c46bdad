"""The formulas of `tidemark plan` against what `make bench` and `make bench-curves` measured on one machine."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import pytest

from services.capacity.calls import Limits
from services.capacity.costs import Role
from services.capacity.measured import factors_of, predicted
from services.capacity.memory import memory
from services.capacity.rates import STEADY
from services.capacity.traffic import BENCH, Replay
from services.windows import DAY_MS
from tests.support.pipeline import ROOT

pytestmark = pytest.mark.unit

FIGURES: Final = json.loads((ROOT / "deploy/docs/performance/figures.json").read_text())
WITHIN: Final = 0.25

CURVE_EVENTS: Final = 500_000
"""Of each run of the curves."""

CORES: Final = 2
START_S: Final = 1.0
"""Until the first records are read: what `make bench` of two million and of half a million events differ by."""

LARGEST_RUN: Final = {"ingest-0": 6.7, "aggregator-0": 6.6, "redis": 4.2, "broker": 1.3}
"""CPU seconds per million events of `make bench`, two million events, at 96,158 a second (performance.md)."""

CELL_KINDS: Final = ("h", "d", "ha", "da")


def is_within(found: float, measured: float) -> bool:
    return abs(found / measured - 1) <= WITHIN


def total(spent: Mapping[Role, float]) -> float:
    return sum(spent.values())


def events_per_second(events: int, spent: Mapping[Role, float]) -> float:
    return events / (START_S + events * total(spent) / 1e6 / (CORES * STEADY))


def users_of(label: str) -> int:
    return int(label.split(maxsplit=1)[0].replace(",", ""))


def is_as_measured(point: Mapping[str, Any], spent: Mapping[Role, float]) -> None:
    assert is_within(total(spent), point["cpuSecondsPerMillionEvents"])
    assert is_within(events_per_second(CURVE_EVENTS, spent), point["eventsPerSecond"])


@pytest.mark.parametrize("point", FIGURES["users"], ids=lambda point: point["label"])
def test_throughput_follows_the_number_of_users(point: dict[str, Any]) -> None:
    replay = Replay(events=CURVE_EVENTS, shape=replace(BENCH, users=users_of(point["label"])))
    is_as_measured(point, predicted(replay, point["eventsPerSecond"], Limits()))


@pytest.mark.parametrize("point", FIGURES["call"], ids=lambda point: point["label"])
def test_throughput_follows_what_a_call_may_hold(point: dict[str, Any]) -> None:
    limits = Limits(call_items=users_of(point["label"]))
    is_as_measured(point, predicted(Replay(events=CURVE_EVENTS), point["eventsPerSecond"], limits))


@pytest.mark.parametrize("point", FIGURES["frames-partitions"], ids=lambda point: point["label"])
def test_throughput_follows_the_partitions(point: dict[str, Any]) -> None:
    spent = predicted(Replay(events=CURVE_EVENTS), point["eventsPerSecond"], Limits(), partitions=point["x"])
    is_as_measured(point, spent)


def test_the_benchmark_itself_costs_each_role_what_it_did() -> None:
    spent = predicted(Replay(events=2_000_000), 96_158, Limits())
    for name, measured in LARGEST_RUN.items():
        assert spent[Role(name.partition("-")[0])] == pytest.approx(measured, rel=0.05)
    assert is_within(events_per_second(2_000_000, spent), 96_158)


def test_a_machine_like_the_measured_one_has_factors_of_one() -> None:
    found = {"events": 2_000_000, "eventsPerSecond": 96_158, "cpuSecondsPerMillionEvents": LARGEST_RUN | {"all": 18.7}}
    assert factors_of(found) == pytest.approx(dict.fromkeys(Role, 1.0), rel=0.05)


@pytest.mark.parametrize("point", FIGURES["users-days"], ids=lambda point: point["label"])
def test_cells_take_the_memory_that_they_took(point: dict[str, Any]) -> None:
    users, days = users_of(point["label"]), int(point["label"].split()[2])
    # Two events a user and day, and a month that begins within the thirty days.
    replay = Replay(
        events=2 * users * days,
        shape=replace(BENCH, users=users, span_ms=days * DAY_MS),
        months=2 if days > 15 else 1,
    )
    found = memory(replay.demand, replay.kept, 16, 4)
    assert is_within(sum(found.bytes[kind] for kind in CELL_KINDS), point["bytes"])


@pytest.mark.parametrize("point", FIGURES["ids"], ids=lambda point: point["label"])
def test_identities_take_the_memory_that_they_took(point: dict[str, Any]) -> None:
    # Spread evenly over 16 partitions and five weeks.
    replay = Replay(
        events=point["x"],
        shape=replace(
            BENCH, organizations=tuple(map(str, range(5_000))), users=100_000, span_ms=35 * DAY_MS, copy_share=0.0
        ),
    )
    demand = replace(replay.demand, largest_share=1 / 5_000)
    found = memory(demand, replay.kept, 16, 4)
    assert found.identities == pytest.approx(point["x"], rel=0.01)
    assert is_within(found.bytes["x"] / found.identities, point["bytesEach"])
