"""The benchmark's workload: put on the topic once, and counted by brute force once, however often it is run."""

import asyncio
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from services.line_keys import organization_key
from services.publishing import UsagePublisher
from services.settings import Settings
from services.simulated_population import SHAPES, Profile, Shape
from services.simulation import lines_of

PUSH_EVERY = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """`events` as `tidemark simulate --profile bench` makes them, or of another shape, the last of them at `end_ms`."""

    events: int
    seed: int
    end_ms: int
    shape: Shape = SHAPES[Profile.BENCH]

    def lines(self) -> Iterator[bytes]:
        return lines_of(self.shape, Profile.BENCH, self.seed, self.events, self.end_ms)


async def publish_all(settings: Settings, topic: str, lines: Iterable[bytes]) -> float:
    """Publish every event, keyed by organization, and return how many seconds that took."""
    began = time.monotonic()
    async with UsagePublisher(settings.kafka, topic) as publisher:
        for number, line in enumerate(lines, start=1):
            await publisher.publish_raw(line, organization_key(line))
            if number % PUSH_EVERY == 0:
                await asyncio.sleep(0)
        await publisher.flush()
    return time.monotonic() - began
