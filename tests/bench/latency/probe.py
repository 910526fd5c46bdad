"""Events of an organization of its own, one after the other, and when the API shows each."""

import asyncio
import random
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

import httpx

from services.events import CodeCompletionData, CodeCompletionEvent
from services.publishing import UsagePublisher

ORGANIZATION: Final = "probe"
EVERY_SECONDS: Final = 0.05
"""Between probes, on average; random, so that no clock of the pipeline is always met at the same place."""

LOOK_SECONDS: Final = 0.02
"""Between looks, and so the most that a latency is overstated by. A look costs the API and the client 2 ms and more."""
GIVE_UP_SECONDS: Final = 30.0


@dataclass(slots=True)
class Probe:
    """Publishes probes and looks for them.

    Attributes:
        latencies_s: of each probe from its acknowledgement to the first answer of the API that counts it.
        unseen: probes that no answer has counted yet.
    """

    publisher: UsagePublisher
    client: httpx.AsyncClient
    latencies_s: list[float] = field(default_factory=list)
    _acknowledged_s: deque[float] = field(default_factory=deque)
    _sent: int = 0
    _seen: int = 0

    @property
    def unseen(self) -> int:
        return len(self._acknowledged_s)

    async def run(self, until: Callable[[], bool]) -> None:
        """Probe until it is time to end, and on until the last probe was seen."""
        sending = asyncio.create_task(self._send(until))
        try:
            while not sending.done() or self.unseen:
                await self._look()
                if self.unseen and time.monotonic() - self._acknowledged_s[0] > GIVE_UP_SECONDS:
                    raise TimeoutError(f"a probe was not seen within {GIVE_UP_SECONDS:g} s of its acknowledgement")
                await asyncio.sleep(LOOK_SECONDS)
        finally:
            await asyncio.gather(sending)

    async def _send(self, until: Callable[[], bool]) -> None:
        rng = random.Random(7)
        while not until():
            self._sent += 1
            await self.publisher.publish(usage_event(ORGANIZATION, self._sent))
            self._acknowledged_s.append(time.monotonic())
            await asyncio.sleep(rng.uniform(0, 2 * EVERY_SECONDS))

    async def _look(self) -> None:
        now = datetime.now(UTC)
        parameters = {
            "organizationId": ORGANIZATION,
            "granularity": "all",
            "from": (now - timedelta(days=1)).isoformat(),
            "to": (now + timedelta(hours=1)).isoformat(),
        }
        answer = await self.client.get("/api/v1/organization/usage", params=parameters)
        arrived_s = time.monotonic()
        if answer.status_code in (404, 503):  # before the first event of the organization, and while Redis is busy
            return
        answer.raise_for_status()
        counted = sum(block["codeCompletions"]["completions"] for block in answer.json()["usage"]["data"])
        # A probe may be seen before its acknowledgement has come back; it is then waited for no time at all.
        for _ in range(counted - self._seen):
            if not self._acknowledged_s:
                return
            self.latencies_s.append(max(arrived_s - self._acknowledged_s.popleft(), 0.0))
            self._seen += 1


def usage_event(organization: str, number: int) -> CodeCompletionEvent:
    """Return an event of this moment that counts one completion."""
    return CodeCompletionEvent(
        specversion="1.0",
        id=f"{time.time_ns()}-{number}",
        source="bench",
        time=datetime.now(UTC),
        subject="someone",
        organizationid=organization,
        data=CodeCompletionData(completions=1),
    )
