"""The canary's turns: what it publishes anew, and what its metrics say when something does not answer."""

import asyncio
from collections.abc import Sequence

import pytest

from services import canary as canary_module
from services.canary import SLOTS_A_TURN, Canary, plan_of
from services.canary_plan import CanaryPlan, Reading, product_of
from services.canary_reading import ApiAway, ApiReader
from services.health import HealthServer
from services.kafka import KafkaUnavailable
from services.settings import Settings
from services.settings_loading import WrongSettings, load_settings
from services.telemetry import Telemetry
from services.timed_publishing import Timed, TimedPublisher
from services.windows import HOUR_MS

PLAN = CanaryPlan(name="canary", interval_ms=10_000, lookback_ms=2 * HOUR_MS)
NOW_MS = 500_000 * HOUR_MS + 5_000
SLOTS = 2 * 360 + 1


class Topic(TimedPublisher):
    """A topic that takes everything a second after its time, or nothing while it is away."""

    def __init__(self) -> None:
        self.taken: list[bytes] = []
        self.away = False

    async def publish(self, records: Sequence[Timed]) -> list[int]:
        if self.away:
            raise KafkaUnavailable("nobody there")
        self.taken += [record.value for record in records]
        return [NOW_MS - 1_000] * len(records)


class Counters(ApiReader):
    """An API that has counted so many slots of the plan, the first ones, or does not answer."""

    def __init__(self) -> None:
        self.slots: Sequence[int] = ()
        self.away = False

    async def read(self, hours: range) -> Reading:
        if self.away:
            raise ApiAway("nobody there")
        told: dict[int, dict[str, dict[str, int]]] = {hour: {} for hour in hours}
        for slot in self.slots:
            product = product_of(slot)
            of_product = told[PLAN.time_ms(slot) // HOUR_MS].setdefault(
                product.name, dict.fromkeys(product.counters, 0)
            )
            for counter in product.counters:
                of_product[counter] += 1
        return Reading(as_of_ms=NOW_MS, hours=told)


class Rig:
    """A canary whose clock stands, or moves by hand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_ms = NOW_MS
        monkeypatch.setattr(canary_module, "now_ms", lambda: self.now_ms)
        self.topic, self.counters, self.telemetry = Topic(), Counters(), Telemetry("canary")
        self.health = HealthServer(self.telemetry)
        self.canary = Canary(PLAN, self.topic, self.counters, self.telemetry, self.health)

    async def turn(self) -> None:
        """Take turns until nothing more is due."""
        stop = asyncio.Event()
        asyncio.get_running_loop().call_soon(stop.set)
        await self.canary.run(stop)

    async def turns(self) -> None:
        for _ in range(1 + SLOTS // SLOTS_A_TURN):
            await self.turn()

    def says(self, name: str) -> float | None:
        page = self.telemetry.exposition()[1].decode()
        return next((float(line.rpartition(" ")[2]) for line in page.splitlines() if line.startswith(name + " ")), None)

    def differences(self) -> tuple[float | None, float | None]:
        name = "tidemark_canary_difference"
        return self.says(name + '{direction="missing"}'), self.says(name + '{direction="surplus"}')


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch) -> Rig:
    return Rig(monkeypatch)


async def test_at_a_start_every_slot_of_the_hours_is_published_once_and_some_twice(rig: Rig) -> None:
    await rig.turns()
    assert len(set(rig.topic.taken)) == SLOTS
    assert SLOTS * 1.19 < len(rig.topic.taken) < SLOTS * 1.21
    await rig.turns()
    assert len(set(rig.topic.taken)) == SLOTS
    rig.now_ms += 10_000
    await rig.turn()
    assert len(set(rig.topic.taken)) == SLOTS + 1


async def test_what_was_not_published_is_published_in_a_later_turn_and_meanwhile_it_is_not_ready(rig: Rig) -> None:
    rig.topic.away = True
    await rig.turn()
    assert rig.health.page("/readyz")[2] == b'{"kafka": "nobody there"}'
    rig.topic.away = False
    await rig.turns()
    assert len(set(rig.topic.taken)) == SLOTS
    assert rig.says('tidemark_canary_events_total{result="published"}') == SLOTS
    assert rig.health.page("/readyz")[0] == 200


async def test_the_differences_are_absent_while_the_api_is_away_and_the_age_rises_on(rig: Rig) -> None:
    rig.counters.away = True
    await rig.turns()
    assert rig.differences() == (None, None)
    assert rig.says('tidemark_canary_age_seconds{role="canary"}') is None
    rig.counters.away, rig.counters.slots = False, PLAN.due(NOW_MS)
    await rig.turn()
    assert rig.differences() == (0, 0)
    assert rig.says('tidemark_canary_age_seconds{role="canary"}') == 5
    rig.counters.away = True
    rig.now_ms += 60_000
    await rig.turn()
    assert rig.differences() == (None, None)
    assert rig.says('tidemark_canary_age_seconds{role="canary"}') == 65
    assert b"api" in rig.health.page("/readyz")[2]


async def test_what_is_missing_and_what_is_new_is_told(rig: Rig) -> None:
    await rig.turns()
    due = PLAN.due(NOW_MS)
    rig.counters.slots = due[3:]
    await rig.turn()
    assert rig.differences() == (3, 0)
    rig.counters.slots = due
    await rig.turn()
    assert rig.differences() == (0, 0)
    assert rig.says('tidemark_canary_events_total{result="seen"}') == SLOTS


@pytest.mark.parametrize("events", [{"max_age": "4h"}, {"max_age": "1h", "keep_hours": "4h"}])
def test_hours_that_are_refused_or_not_kept_cannot_be_compared(events: dict[str, str]) -> None:
    with pytest.raises(WrongSettings, match=r"CANARY__LOOKBACK \(10800s\).*TIDEMARK_EVENTS__MAX_AGE"):
        plan_of(load_settings({"events": events}))
    assert plan_of(Settings()).organization == "tidemark-canary-10s"


@pytest.mark.parametrize(
    ("name", "value"), [("organization", "a/b"), ("interval", "0s"), ("lookback", "25h"), ("api_url", "api:8080")]
)
def test_a_wrong_setting_is_named(name: str, value: str) -> None:
    with pytest.raises(WrongSettings, match=f"TIDEMARK_CANARY__{name.upper()}"):
        load_settings({"canary": {name: value}})


@pytest.mark.parametrize("limit", ["loop_limit", "work_limit"])
def test_a_limit_of_the_watchdog_is_above_its_interval_or_lifted(limit: str) -> None:
    with pytest.raises(WrongSettings, match=f"WATCHDOG__{limit.upper()}: give at least 2s, or none"):
        load_settings({"watchdog": {limit: "1s"}})
    assert getattr(load_settings({"watchdog": {limit: "none"}}).watchdog, limit) is None
