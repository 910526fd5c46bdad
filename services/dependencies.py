"""Asks Kafka and Redis whether they answer, with connections of its own.

A process whose clients are stuck cannot tell that from a server that is away; this can, from any thread.
"""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any, Final

from services.counters import StoreRefused, StoreUnavailable
from services.kafka import KafkaRefused, KafkaUnavailable
from services.redis_client import answers
from services.settings import Settings
from services.topics import group_can_work

ANSWER_S: Final = 5.0
"""Within which a server that is there answers, a change of leaders aside."""

GIVE_UP_S: Final = 2 * ANSWER_S
"""For a client that does not even close."""

Ask = Callable[[], str | None]
"""Returns which dependency is away, in a sentence; None when all answer. It blocks."""


def nothing_to_ask() -> str | None:
    """Ask nobody."""
    return None


def ask_kafka(settings: Settings, group: str) -> Ask:
    """Return what asks every leader of the topics, and the coordinator of a group."""
    return lambda: _in_time(lambda: _first(_kafka(settings, group)))


def ask_kafka_and_redis(settings: Settings, group: str) -> Ask:
    return lambda: _in_time(lambda: _first(_redis(settings), _kafka(settings, group)))


def _in_time(ask: Callable[[], Coroutine[Any, Any, str | None]]) -> str | None:
    """Ask in a thread that is left behind when it does not end; no answer means away, as does a question that fails."""
    answers: list[str | None] = []
    asking = threading.Thread(target=lambda: answers.append(asyncio.run(ask())), name="asking", daemon=True)
    asking.start()
    asking.join(GIVE_UP_S)
    return answers[0] if answers else "Kafka or Redis could not be asked"


async def _first(*questions: Coroutine[Any, Any, str | None]) -> str | None:
    answered = await asyncio.gather(*questions)
    return next((why for why in answered if why is not None), None)


async def _kafka(settings: Settings, group: str) -> str | None:
    # The client's own time-out is for one request; a look is several.
    hurried = settings.model_copy(update={"kafka": settings.kafka.model_copy(update={"request_timeout": ANSWER_S / 2})})
    try:
        async with asyncio.timeout(ANSWER_S):
            await group_can_work(hurried, group)
    except TimeoutError:
        return f"Kafka has not answered for {ANSWER_S:g} s"
    except (KafkaUnavailable, KafkaRefused) as error:
        return str(error)
    return None


async def _redis(settings: Settings) -> str | None:
    try:
        await answers(settings.redis, timeout_s=ANSWER_S)
    except (StoreUnavailable, StoreRefused) as error:
        return str(error)
    return None
