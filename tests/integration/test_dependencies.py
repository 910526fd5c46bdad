"""What the watchdog learns when it asks Kafka and Redis by itself."""

import asyncio
import threading
import uuid
from collections.abc import Iterator
from contextlib import suppress

import pytest

from services import dependencies
from services.dependencies import ask_kafka, ask_kafka_and_redis
from services.settings import Settings
from services.topics import create_missing, group_can_work
from tests.support.redis_server import RedisServer
from tests.support.servers import Broker

pytestmark = [pytest.mark.integration, pytest.mark.guarantee]

GROUP = "watched"


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    with RedisServer.start_new() as server:
        yield server


def test_nothing_is_away_until_a_server_does_not_answer(
    kafka: Broker, redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    prefix = uuid.uuid4().hex[:8]
    topics = {name: f"{prefix}.{name}" for name in ("events", "directory", "frames", "dead_letters")}
    settings = Settings.model_validate(
        {"kafka": {"bootstrap_servers": kafka.bootstrap}, "redis": {"url": redis.url}, "topics": topics}
    )
    asyncio.run(create_missing(settings))
    # The broker makes its own topic for the first group that asks, and may take longer for it than a question may.
    asyncio.run(group_can_work(settings, GROUP))
    ask_both, ask_one = ask_kafka_and_redis(settings, GROUP), ask_kafka(settings, GROUP)
    assert (ask_both(), ask_one()) == (None, None)

    redis.freeze()
    with monkeypatch.context() as hurried:
        hurried.setattr(dependencies, "ANSWER_S", 1.0)
        away = ask_both()
    redis.thaw()
    assert away is not None
    assert "Redis is away" in away
    assert ask_one() is None

    nobody = settings.model_copy(
        update={"kafka": settings.kafka.model_copy(update={"bootstrap_servers": "127.0.0.1:1"})}
    )
    away = ask_kafka(nobody, GROUP)()
    assert away is not None
    assert "Unable to bootstrap" in away


def test_a_question_that_does_not_end_means_away(monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()

    async def hang(*_: object) -> None:
        while not over.is_set():
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(0.01)

    monkeypatch.setattr(dependencies, "GIVE_UP_S", 0.05)
    monkeypatch.setattr(dependencies, "group_can_work", hang)
    assert ask_kafka(Settings(), GROUP)() == "Kafka or Redis could not be asked"
    over.set()
