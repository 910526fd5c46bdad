"""How many workers, partitions and masters a load needs, given what an event costs and how events are shared. Pure."""

from bisect import bisect_left
from collections.abc import Callable
from heapq import heapreplace
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


def fullest(shares: Numbers, masters: int) -> float:
    """Return the share of the fullest of so many masters, the partitions' slots being placed by load, largest first."""
    held = [0.0] * masters
    for share in shares:
        heapreplace(held, held[0] + float(share))
    return max(held)


def fewest(numbers: int, is_enough: Callable[[int], bool]) -> int | None:
    """Return the smallest of 1 to `numbers` that is enough, None where none is; more is never less enough."""
    at = bisect_left(range(1, numbers + 1), True, key=is_enough)
    return at + 1 if at < numbers else None


def partitions_for(workers: int, least: int) -> int:
    """Return a power of two of partitions, at least `least`, that as many workers can share evenly."""
    wanted = max(least, workers * PARTITIONS_A_WORKER)
    return min(1 << (wanted - 1).bit_length(), PARTITIONS_MAX)
