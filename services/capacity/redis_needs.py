"""How much memory Redis needs beside what it holds, how much disk, and how many masters. Pure."""

from dataclasses import dataclass
from typing import Final

from services.capacity.memory import Memory
from services.capacity.redis_sizes import Numbers
from services.capacity.sizing import workers_for

SHADOWS: Final = 4
"""Partitions that `tidemark verify` and `rebuild` make a second time at once (`aggregator.shadow_run`)."""

FRAGMENTATION: Final = 1.1
"""Resident over used memory of an allocator that has been in use; 1.3 and less from 60 MB on in the runs here."""

PAGE: Final = 4096

REWRITE_BYTES_PER_SECOND: Final = 100e6
"""How fast a child writes the append-only file anew, in bytes of memory."""

BASE_BYTES: Final = 200 * 2.0**20
"""Of an empty Redis, its clients' and its replicas' buffers."""

FILES: Final = 3
"""The file, as much again until it is written anew (`auto-aof-rewrite-percentage 100`), and the new one beside it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisNeeds:
    """Of all masters together, in bytes; a replica needs what its master does.

    Attributes:
        used: what it holds (`used_memory`).
        shadows: a second time while `verify` or `rebuild` runs.
        copied: pages that a child which writes the file anew keeps as they were, at the peak.
        resident: all of these, with the allocator's losses.
        masters: so that no thread is busier and none larger than chosen; None where no number is enough.
        load: cores at the peak.
        masters_by_load, masters_by_memory: what each alone asks for.
    """

    used: float
    shadows: float
    copied: float
    resident: float
    maxmemory: float
    disk: float
    load: float
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
    used = holds.used
    shadows = used * float(shares[:SHADOWS].sum())
    copied = min(used, pages_per_second * PAGE * used / REWRITE_BYTES_PER_SECOND)
    resident = (used + shadows) * FRAGMENTATION + copied + BASE_BYTES
    return RedisNeeds(
        used=used,
        shadows=shadows,
        copied=copied,
        resident=resident,
        maxmemory=(used + shadows) * FRAGMENTATION + BASE_BYTES,
        disk=used * FILES,
        load=load,
        masters_by_load=workers_for(load, shares, utilization),
        masters_by_memory=workers_for(resident, shares, node_bytes),
    )
