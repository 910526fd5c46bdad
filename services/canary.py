"""The canary as a process: publishes events whose sum is known, and holds it against what the query API answers."""

import asyncio
import sys
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Final

import structlog

from services.canary_plan import CanaryPlan, Slot, Verdict, judge
from services.canary_reading import ApiAway, ApiReader
from services.clock import now_ms
from services.durations import write_duration
from services.health import HealthServer, keep_beating
from services.kafka import KafkaRefused, KafkaUnavailable
from services.lifecycle import Exit, run, stop_on_signals
from services.settings import Settings
from services.settings_loading import WrongSettings, load_settings
from services.telemetry import Telemetry, configure_logs
from services.timed_publishing import Timed, TimedPublisher
from services.watchdog import under_watch
from services.windows import HOUR_MS

ROLE: Final = "canary"
TURN_MAX_S: Final = 5.0
SLOTS_A_TURN: Final = 500
"""Published at once after a start, which has hours to publish."""


def main() -> int:
    """Run the canary until a signal, and return the exit code (`services.lifecycle.Exit`)."""
    configure_logs(ROLE)
    try:
        settings = load_settings()
        plan = plan_of(settings)
        reader = ApiReader(settings, plan.organization)
    except WrongSettings as error:
        sys.stderr.write(f"{error}\n")
        return Exit.WRONG_SETTINGS
    return run(lambda: _main(settings, plan, reader))


def plan_of(settings: Settings) -> CanaryPlan:
    """Return which events there are.

    Raises:
        WrongSettings: the oldest would be refused, or their hours not be kept.
    """
    canary, events = settings.canary, settings.events
    oldest_s = canary.lookback + HOUR_MS / 1000
    for name, limit_s in (("MAX_AGE", events.max_age), ("KEEP_HOURS", events.keep_hours)):
        if limit_s is not None and limit_s <= oldest_s:
            raise WrongSettings(
                f"TIDEMARK_CANARY__LOOKBACK ({write_duration(canary.lookback)}) and an hour more must lie below"
                f" TIDEMARK_EVENTS__{name} ({write_duration(limit_s)})"
            )
    return CanaryPlan(
        name=canary.organization,
        interval_ms=round(canary.interval * 1000),
        lookback_ms=round(canary.lookback * 1000),
    )


async def _main(settings: Settings, plan: CanaryPlan, reader: ApiReader) -> int:
    role = settings.canary
    telemetry = Telemetry(ROLE)
    health = HealthServer(telemetry, role.host, role.port, role.address_file)
    health.not_ready("kafka", "nothing published yet")
    health.not_ready("api", "not asked yet")
    stop = await stop_on_signals()
    async with AsyncExitStack() as stack:
        beating = asyncio.create_task(keep_beating(health))
        stack.callback(beating.cancel)
        health.start()
        stack.callback(health.stop)
        stack.enter_context(under_watch(settings.watchdog, health))
        publisher = TimedPublisher(settings.kafka, settings.topics.events)
        stack.push_async_callback(publisher.close)
        structlog.get_logger().info("started", organization=plan.organization)
        await Canary(plan, publisher, reader, telemetry, health).run(stop)
    return Exit.ORDERED_STOP


class Canary:
    """Publishes what is due and compares, turn after turn; what it does not reach, it tries again in the next."""

    def __init__(
        self,
        plan: CanaryPlan,
        publisher: TimedPublisher,
        reader: ApiReader,
        telemetry: Telemetry,
        health: HealthServer,
    ) -> None:
        self._plan = plan
        self._publisher = publisher
        self._reader = reader
        self._telemetry = telemetry
        self._health = health
        self._published: dict[int, Slot] = {}
        self._seen: Mapping[int, int] | None = None
        self._newest_ms: int | None = None
        self._log = structlog.get_logger()

    async def run(self, stop: asyncio.Event) -> None:
        """Take turns until `stop` is set."""
        while not stop.is_set():
            behind = await self._publish()
            await self._compare()
            if not behind:
                await _until(stop, min(TURN_MAX_S, self._plan.interval_ms / 2000))

    async def _publish(self) -> bool:
        """Publish slots that are due; return whether there are more."""
        due = self._plan.due(now_ms())
        self._published = {slot: each for slot, each in self._published.items() if slot >= due.start}
        wanted = [slot for slot in due if slot not in self._published]
        slots = wanted[:SLOTS_A_TURN]
        if not slots:
            return False
        owners = [slot for slot in slots for _ in range(self._plan.copies(slot))]
        # A copy follows its event into the next partition.
        records = [
            Timed(value=self._plan.event(slot), key=self._plan.organization.encode(), turn=turn)
            for turn, slot in enumerate(owners, start=slots[0])
        ]
        try:
            with self._health.awaiting("kafka", "Kafka does not acknowledge what is published"):
                times = await self._publisher.publish(records)
        except (KafkaUnavailable, KafkaRefused) as error:
            self._health.not_ready("kafka", str(error))
            self._log.warning("canary_not_published", error=str(error))
            return False
        for slot, broker_ms in zip(owners, times, strict=True):
            held = self._published.get(slot)
            self._published[slot] = Slot(number=slot, broker_ms=max(broker_ms, held.broker_ms if held else 0))
        self._telemetry.count("tidemark_canary_events_total", len(slots), result="published")
        return len(slots) < len(wanted)

    async def _compare(self) -> None:
        try:
            reading = await self._reader.read(self._plan.hours(now_ms()))
        except ApiAway as error:
            self._health.not_ready("api", str(error))
            self._log.warning("canary_not_read", error=str(error))
            self._say(None)
            return
        self._health.ready("api")
        verdict = judge(self._plan, self._published, reading, now_ms())
        self._say(verdict)
        self._count_seen(verdict.seen)

    def _say(self, verdict: Verdict | None) -> None:
        """Set the gauges; what is not known is absent, and the age of what was seen once grows on."""
        if verdict is not None and verdict.newest_ms is not None:
            self._newest_ms = max(verdict.newest_ms, self._newest_ms or 0)
        if self._newest_ms is not None:
            self._telemetry.set("tidemark_canary_age_seconds", max(0, now_ms() - self._newest_ms) / 1000)
        for direction, events in (
            ("missing", verdict.missing if verdict else None),
            ("surplus", verdict.surplus if verdict else None),
        ):
            if events is None:
                self._telemetry.forget("tidemark_canary_difference", direction=direction)
                continue
            self._telemetry.set("tidemark_canary_difference", events, direction=direction)
            if events:
                self._log.error("canary_differs", direction=direction, events=events)

    def _count_seen(self, seen: Mapping[int, int]) -> None:
        """Count what is new since the last reading; the first one has nothing to compare with."""
        if self._seen is not None:
            new = sum(max(0, events - self._seen.get(hour, 0)) for hour, events in seen.items())
            self._telemetry.count("tidemark_canary_events_total", new, result="seen")
        self._seen = seen


async def _until(stop: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return


if __name__ == "__main__":
    sys.exit(main())
