"""aiokafka and pydantic: poll, validate, sum, one pipeline of increments, commit.

`python -m tests.bench.baselines.aiokafka_pydantic BOOTSTRAP TOPIC REDIS_URL EVENTS` ends once it has counted so many.
"""

import asyncio
import sys
from datetime import datetime
from typing import Annotated, Literal

from aiokafka import AIOKafkaConsumer
from pydantic import BaseModel, ConfigDict, Field
from redis.asyncio import Redis

from tests.bench.baselines.increments import Sums, increments
from tests.bench.baselines.stopwatch import Stopwatch

BATCH = 20_000

Id = Annotated[str, Field(min_length=1, max_length=256)]
Amount = Annotated[int, Field(ge=0, lt=2**31)]


class UsageEvent(BaseModel):
    model_config = ConfigDict(extra="forbid")

    specversion: Literal["1.0"]
    id: Id
    source: Id
    type: Literal["usage.code_completion", "usage.chat", "usage.agent", "usage.instruct"]
    time: datetime
    subject: Id
    organizationid: Id
    teamid: Id | None = None
    datacontenttype: str | None = None
    data: dict[str, Amount | str]


async def count(bootstrap: str, topic: str, redis_url: str, events: int) -> None:
    consumer = AIOKafkaConsumer(
        topic,
        bootstrap_servers=bootstrap,
        group_id="baseline-aiokafka",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    stopwatch = Stopwatch(events)
    await consumer.start()
    async with Redis.from_url(redis_url) as client:
        while True:
            polled = await consumer.getmany(timeout_ms=500, max_records=BATCH)
            if not polled:
                continue
            stopwatch.begin()
            sums, records = Sums(), 0
            for batch in polled.values():
                for record in batch:
                    event = UsageEvent.model_validate_json(record.value)
                    for field, amount in increments(
                        event.type, event.organizationid, event.teamid, event.subject, event.time, event.data
                    ):
                        sums[field] += amount
                records += len(batch)
            async with client.pipeline(transaction=False) as pipe:
                for (key, name), amount in sums.items():
                    pipe.hincrby(key, name, amount)
                await pipe.execute()
            await consumer.commit()
            stopwatch.counted(records)


if __name__ == "__main__":
    asyncio.run(count(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])))
