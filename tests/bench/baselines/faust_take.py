"""Idiomatic Faust: an agent takes batches of events, sums them and sends the sums in one pipeline.

`python -m tests.bench.baselines.faust_take BOOTSTRAP TOPIC REDIS_URL EVENTS` ends once it has counted so many.
"""

import sys
from datetime import datetime
from typing import Any

import faust
from redis.asyncio import Redis

from tests.bench.baselines.increments import Sums, increments
from tests.bench.baselines.stopwatch import Stopwatch

BATCH = 5_000
WITHIN_SECONDS = 2.0


class UsageEvent(faust.Record, serializer="json"):
    specversion: str
    id: str
    source: str
    type: str
    time: str
    subject: str
    organizationid: str
    data: dict[str, Any]
    teamid: str | None = None


def main() -> None:
    bootstrap, topic, redis_url, events = sys.argv[1:]
    app = faust.App(
        "baseline-faust",
        broker=f"kafka://{bootstrap}",
        web_enabled=False,
        worker_redirect_stdouts=False,
        consumer_auto_offset_reset="earliest",
        topic_disable_leader=True,
        topic_allow_declare=False,
    )
    stopwatch = Stopwatch(int(events))
    client = Redis.from_url(redis_url)

    @app.agent(app.topic(topic, value_type=UsageEvent))
    async def count(stream: Any) -> None:
        async for batch in stream.take(BATCH, within=WITHIN_SECONDS):
            stopwatch.begin()
            sums = Sums()
            for event in batch:
                time = datetime.fromisoformat(event.time)
                for field, amount in increments(
                    event.type, event.organizationid, event.teamid, event.subject, time, event.data
                ):
                    sums[field] += amount
            async with client.pipeline(transaction=False) as pipe:
                for (key, name), amount in sums.items():
                    pipe.hincrby(key, name, amount)
                await pipe.execute()
            stopwatch.counted(len(batch))

    faust.Worker(app, loglevel="WARNING").execute_from_commandline()


if __name__ == "__main__":
    main()
