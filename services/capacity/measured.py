"""How another machine compares with the one of the unit costs, from the JSON of its own `make bench`. Pure."""

from collections.abc import Mapping
from typing import Any, Final

from services.capacity.calls import Limits
from services.capacity.costs import SAME_MACHINE, Role, microseconds
from services.capacity.memory import memory
from services.capacity.population import partition_shares
from services.capacity.traffic import Replay

PARTITIONS: Final = 16
SOURCES: Final = 4
"""What `make bench` has of usage.frames and usage.events where not told."""

FIELD: Final = "cpuSecondsPerMillionEvents"
FACTOR_MAX: Final = 100.0


class WrongMeasure(Exception):
    """What was given is not what `make bench` prints; the message says what is wrong and what to do."""


def predicted(replay: Replay, per_second: float, limits: Limits, partitions: int = PARTITIONS) -> dict[Role, float]:
    """Return the microseconds an event that a log counted from its start takes in each role."""
    holds = memory(replay.demand, replay.kept, partitions, SOURCES)
    shares = partition_shares(replay.demand.organizations, replay.demand.largest_share, partitions)
    return microseconds(replay.traffic(holds, per_second), shares, limits, SAME_MACHINE)


def factors_of(found: Mapping[str, Any]) -> dict[Role, float]:
    """Return how many times what the formulas say each role took in a run of `make bench ARGS=--json`.

    Raises:
        WrongMeasure: it is none.
    """
    spent, events, rate = found.get(FIELD), _positive(found.get("events")), _positive(found.get("eventsPerSecond"))
    if not isinstance(spent, dict) or events is None or rate is None:
        raise WrongMeasure(
            f"{FIELD}, events and eventsPerSecond must be in it: write it by `make bench ARGS=--json > FILE`, last line"
        )
    expected = predicted(Replay(events=int(events)), rate, Limits())
    factors = {}
    for role in Role:
        took = [_positive(value) for name, value in spent.items() if name.partition("-")[0] == role.value]
        known = [value for value in took if value is not None]
        if not took or len(known) < len(took):
            raise WrongMeasure(f"{FIELD}.{role.value}: the microseconds of {role.value} must be there, above 0")
        factors[role] = sum(known) / expected[role]
        if not 1 / FACTOR_MAX < factors[role] < FACTOR_MAX:
            raise WrongMeasure(
                f"{FIELD}.{role.value}: {sum(known):g} is {factors[role]:.3g} times what is known of it;"
                " is it seconds per million events?"
            )
    return factors


def _positive(value: object) -> float | None:
    """Return a number above 0, None for anything else."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and 0 < value < float("inf") else None  # type: ignore[arg-type,operator]
