"""What is no longer kept is gone, what is kept stays, and an old copy is refused rather than counted again."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import redis
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from services.clock import now_ms
from tests.support.event_lines import event_line
from tests.support.oracle import DAY_MS, HOUR_MS, to_text
from tests.support.pipeline import PipelineUnderTest, await_condition, running_pipeline
from tests.support.records import Record, produce, read_to_end
from tests.support.servers import Broker

pytestmark = [pytest.mark.faults, pytest.mark.guarantee]

AGE_SECONDS = 3
KEPT_SECONDS = 40
"""From before the pipeline's start until yesterday's hours expire; they are looked at in between."""


@pytest.mark.timeout(180)
def test_expired_hours_and_ids_are_gone_the_rest_stays_and_a_late_copy_is_too_old(
    tmp_path: Path, kafka: Broker, redis_url: str
) -> None:
    now = now_ms()
    # The last hour of yesterday: the hash of a day's hours ends with that hour.
    midnight = now // DAY_MS * DAY_MS
    past_ms = midnight - HOUR_MS // 2
    limits = {
        "events__max_age": f"{AGE_SECONDS}s",
        "events__dedup_margin": "0s",
        "events__keep_hours": f"{(now - midnight) // 1000 + KEPT_SECONDS}s",
    }
    past = Record(event_line("past", past_ms), b"acme", timestamp_ms=past_ms + 1000)
    fresh = Record(event_line("fresh", now // 1000 * 1000), b"acme", timestamp_ms=now)
    with running_pipeline(
        tmp_path, kafka.bootstrap, redis_url, before_start=keep_producers_time(kafka), **limits
    ) as pipeline:
        produce(kafka.bootstrap, pipeline.topics["events"], [past, past, fresh])
        pipeline.catch_up()
        days = {("day", day_text(past_ms)): 1, ("day", day_text(now)): 1}
        fresh_hour = {("hour", hour_text(now)): 1}
        past_hour = {("hour", hour_text(past_ms)): 1}
        assert interactions(pipeline) == days | fresh_hour | past_hour
        past_key = f"*:h:acme/{past_ms // DAY_MS}"
        assert keys(redis_url, past_key)
        await_condition(lambda: not keys(redis_url, "*:x:*"), "the ids expire", seconds=AGE_SECONDS + 10)
        await_condition(lambda: not keys(redis_url, past_key), "yesterday's hours expire", seconds=KEPT_SECONDS + 10)
        assert interactions(pipeline) == days | fresh_hour

        produce(kafka.bootstrap, pipeline.topics["events"], [Record(past.value, past.key, timestamp_ms=now_ms())])
        pipeline.catch_up()
        assert interactions(pipeline) == days | fresh_hour
        [letter] = read_to_end(kafka.bootstrap, pipeline.topics["dead_letters"])
        assert letter.header("tidemark-reason") == "too_old"
        assert letter.value == past.value


def keep_producers_time(kafka: Broker) -> Callable[[PipelineUnderTest], None]:
    """Make a topic that keeps the producer's timestamps, so that an event of yesterday can come fresh."""

    def create(pipeline: PipelineUnderTest) -> None:
        topic = NewTopic(pipeline.topics["events"], 1, config={"message.timestamp.type": "CreateTime"})
        admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
        admin.create_topics([topic])[topic.topic].result(30)

    return create


def interactions(pipeline: PipelineUnderTest) -> Mapping[tuple[str, str], int]:
    """Return the organization's chat interactions by window and start."""
    rows = [row for row in pipeline.export() if row["team"] is row["user"] is None]
    return {(row["window"], row["start"]): row["metrics"]["chat"]["interactions"] for row in rows}


def keys(redis_url: str, pattern: str) -> list[str]:
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        return list(client.scan_iter(pattern, count=1000))


def hour_text(time_ms: int) -> str:
    return to_text(time_ms // HOUR_MS * HOUR_MS)


def day_text(time_ms: int) -> str:
    return to_text(time_ms // DAY_MS * DAY_MS)
