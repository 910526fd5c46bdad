"""A call to the store: made again while it is away, and what is told of that meanwhile."""

from unittest.mock import ANY

import pytest

from aggregator import retrying
from aggregator.retrying import Retrying
from services.counters import StoreRefused, StoreUnavailable
from services.health import HealthServer
from services.telemetry import Telemetry

pytestmark = pytest.mark.unit


class Answers:
    """Raises what it is given, one a call, then answers."""

    def __init__(self, *errors: Exception) -> None:
        self._errors = list(errors)
        self.calls = 0

    async def __call__(self) -> str:
        self.calls += 1
        if self._errors:
            raise self._errors.pop(0)
        return "answer"


def rig(limit_s: float | None = None) -> tuple[Retrying, Telemetry, HealthServer]:
    telemetry = Telemetry("aggregator")
    health = HealthServer(telemetry)
    return Retrying(telemetry, health, limit_s), telemetry, health


def retries(telemetry: Telemetry) -> float:
    samples = [sample for metric in telemetry.registry.collect() for sample in metric.samples]
    return sum(each.value for each in samples if each.name == "tidemark_store_retries_total")


async def test_each_call_that_failed_is_made_again_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrying, "MAX_PAUSE_S", 0.0)
    call = Answers(StoreUnavailable("away"), StoreUnavailable("away still"))
    again, telemetry, health = rig()
    told: list[tuple[str, str]] = []
    monkeypatch.setattr(health, "not_ready", lambda part, why: told.append((part, why)))
    assert await again(call) == "answer"
    assert (call.calls, retries(telemetry), told) == (3, 2, [("redis", "away"), ("redis", "away still")])
    assert health.page("/readyz") == (200, ANY, ANY)


async def test_a_refusal_and_the_end_of_the_limit_are_raised() -> None:
    again, telemetry, _ = rig(limit_s=0.0)
    with pytest.raises(StoreRefused):
        await again(Answers(StoreRefused("never")))
    assert retries(telemetry) == 0
    call = Answers(StoreUnavailable("away"), StoreUnavailable("away"))
    with pytest.raises(StoreUnavailable):
        await again(call)
    assert call.calls == 1
