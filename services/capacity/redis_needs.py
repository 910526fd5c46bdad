"""How much memory Redis needs beside what it holds, how much disk, and how many masters. Pure."""

from dataclasses import dataclass
from typing import Final

from services.capacity.memory import Memory
from services.capacity.redis_sizes import Numbers
from services.capacity.sizing import fewest, fullest

SHADOWS: Final = 4
"""Partitions that `tidemark verify` and `rebuild` make a second time at once (`aggregator.shadow_run`)."""

FRAGMENTATION: Final = 1.1
"""Resident over used memory: assumed; it was 1.3 at 80 MB in the runs here, and falls with size."""

PAGE: Final = 4096

REWRITE_BYTES_PER_SECOND: Final = 100e6
"""How fast a child writes the append-only file anew, in bytes of memory: assumed; a Redis tells its own
(`aof_last_rewrite_time_sec` of `INFO persistence`)."""

BASE_BYTES: Final = 200 * 2.0**20
"""Of an empty Redis, its clients' and its replicas' buffers."""

FILES: Final = 3
"""The file, as much again until it is written anew (`auto-aof-rewrite-percentage 100`), and the new one beside it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Master:
    """What the fullest master needs, in bytes; its replica needs the same.

    Attributes:
        used: what it holds (`used_memory`).
        shadows: a second time while `verify` or `rebuild` runs.
        copied: pages that a child which writes the file anew keeps as they were, at the peak.
    """

    used: float
    shadows: float
    copied: float

    @property
    def maxmemory(self) -> float:
        return (self.used + self.shadows) * FRAGMENTATION + BASE_BYTES

    @property
    def resident(self) -> float:
        return self.maxmemory + self.copied

    @property
    def disk(self) -> float:
        return self.used * FILES


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisNeeds:
    """What all of Redis needs.

    Attributes:
        used: bytes of all masters (`used_memory`).
        load: cores at the peak.
        fullest: of as many masters as are planned; where no number is enough, of one for each partition.
        masters_by_load, masters_by_memory: what each alone asks for; None where no number is enough.
    """

    used: float
    load: float
    fullest: Master
    masters_by_load: int | None
    masters_by_memory: int | None

    @property
    def masters(self) -> int | None:
        """Return how many are enough, None where no number is."""
        if self.masters_by_load is None or self.masters_by_memory is None:
            return None
        return max(self.masters_by_load, self.masters_by_memory)

    @property
    def cluster(self) -> bool:
        """Whether one Redis is not enough."""
        return self.masters != 1


def redis_needs(
    holds: Memory, shares: Numbers, load: float, pages_per_second: float, utilization: float, node_bytes: float
) -> RedisNeeds:
    """Return what Redis needs.

    Args:
        shares: of the partitions, the largest first.
        load: cores that all events take at the peak.
        pages_per_second: that the events change at the peak.
    """

    def master(masters: int) -> Master:
        share = fullest(shares, masters)
        used = holds.used * share
        rewritten_s = used / REWRITE_BYTES_PER_SECOND
        return Master(
            used=used,
            shadows=min(holds.used * float(shares[:SHADOWS].sum()), used),
            copied=min(used, pages_per_second * share * PAGE * rewritten_s),
        )

    by_memory = fewest(len(shares), lambda masters: master(masters).resident <= node_bytes)
    by_load = fewest(len(shares), lambda masters: load * fullest(shares, masters) <= utilization)
    planned = len(shares) if by_memory is None or by_load is None else max(by_memory, by_load)
    return RedisNeeds(
        used=holds.used,
        load=load,
        fullest=master(planned),
        masters_by_load=by_load,
        masters_by_memory=by_memory,
    )
