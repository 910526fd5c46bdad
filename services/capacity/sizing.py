"""How many workers, partitions and masters a load needs, given what an event costs and how events are shared. Pure."""

from math import ceil
from typing import Final

import numpy as np

from services.capacity.redis_sizes import Numbers

PARTITIONS_MAX: Final = 1_024
"""Of each topic (settings topics.events_partitions and topics.frames_partitions)."""

PARTITIONS_A_WORKER: Final = 4
"""Partitions there are for each worker, so that these get nearly the same number whatever their count."""


def busiest(shares: Numbers, workers: int) -> float:
    """Return the share of the worker who has the largest partition, of so many with the same number of partitions.

    Who else's partitions it has is not known: as many of the others as come to each, of mean size.
    """
    partitions = len(shares)
    if workers >= partitions:
        return float(shares[0])
    beside = ceil(partitions / workers) - 1
    return float(shares[0]) + beside * float(np.mean(shares[1:]))


def workers_for(load: float, shares: Numbers, most: float) -> int | None:
    """Return the fewest workers none of whom has more than `most` of a core, None where no number is enough.

    Args:
        load: cores that all events together take.
    """
    for workers in range(1, len(shares) + 1):
        if load * busiest(shares, workers) <= most:
            return workers
    return None


def partitions_for(workers: int, least: int) -> int:
    """Return a power of two of partitions, at least `least`, that as many workers can share evenly."""
    wanted = max(least, workers * PARTITIONS_A_WORKER)
    return min(1 << (wanted - 1).bit_length(), PARTITIONS_MAX)
