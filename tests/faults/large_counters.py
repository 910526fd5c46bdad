"""Counters next to their limit: no test publishes the four million events that would bring one there."""

from services.clock import now_ms
from services.counter_codec import pack, unpack
from services.metrics_contract import CHAT
from tests.faults.redis_states import client
from tests.support.oracle import HOUR_MS
from tests.support.redis_server import RedisServer

CHARS = "charsCompleted"
HOUR = now_ms() // HOUR_MS * HOUR_MS
"""When the events of these tests happened."""


def raise_counters(redis: RedisServer, slot: str, value: int) -> int:
    """Set the characters of every chat cell of a slot, and return how many they are; no worker may run."""
    raised = 0
    with client(redis) as asked:
        for key in [*asked.scan_iter(f"{slot}e1:h:*"), *asked.scan_iter(f"{slot}e1:d:*")]:
            for field, packed in asked.hgetall(key).items():
                numbers = unpack([packed])
                numbers[0, CHAT.counters.index(CHARS)] = value
                asked.hset(key, field, pack(numbers, len(CHAT.counters))[0])
                raised += 1
    return raised
