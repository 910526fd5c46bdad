"""How long Redis was held by one script call, by its slow log."""

from typing import Final

import redis

_LOOKED_AT_US: Final = 1_000
_KEPT: Final = 100_000


def begin(client: redis.Redis) -> None:
    """Keep every command from 1 ms on."""
    client.config_set("slowlog-max-len", _KEPT)
    client.config_set("slowlog-log-slower-than", _LOOKED_AT_US)
    client.slowlog_reset()


def slowest_ms(client: redis.Redis) -> float:
    """Return the longest script call since `begin`, 0 where none took a millisecond, and keep no more."""
    client.config_set("slowlog-log-slower-than", -1)
    calls = client.slowlog_get(_KEPT)
    return max((call["duration"] / 1000 for call in calls if call["command"].startswith(b"EVALSHA")), default=0.0)
