"""The largest record that a broker takes of a topic."""

from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import MessageSizeTooLargeError

LIMIT = 1_048_576
"""Kafka's own default, and that of the source topics."""

Headers = list[tuple[str, bytes]]


async def fill_the_limit(bootstrap: str, topic: str, value: bytes, headers: Headers) -> tuple[bytes, Any]:
    """Produce the longest record that the broker takes, `value` filled up with spaces.

    Returns its value, and the client's record metadata.
    """
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, max_request_size=4 * LIMIT, acks="all")
    await producer.start()
    try:
        for spare in range(60, 200):
            filled = value + b" " * (LIMIT - spare - len(value))
            try:
                return filled, await producer.send_and_wait(topic, filled, headers=headers)
            except MessageSizeTooLargeError:
                continue
    finally:
        await producer.stop()
    raise AssertionError("no record of nearly the limit was taken")
