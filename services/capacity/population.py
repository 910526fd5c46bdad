"""How organizations differ in size, and how evenly they fall on partitions. Pure."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np

from services.capacity.redis_sizes import Numbers
from services.keyspace import partition_of

EXACT_RANKS: Final = 500
"""The largest organizations are looked at one by one, the others in groups of like size."""

GROUPS: Final = 200
DRAWS: Final = 15
"""Ways of spreading organizations over partitions that are looked at: their ids are not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """Organizations in groups of one size, the largest first.

    Attributes:
        count: organizations of the group.
        share: of all users and events, each of them has.
    """

    count: Numbers
    share: Numbers


def sizes(organizations: int, largest_share: float | None) -> Sizes:
    """Return organizations whose sizes fall as 1/rank^a; a is 1, or what gives the largest one its share."""
    ranks, count = _ranks(organizations)
    exponent = 1.0 if largest_share is None else _exponent(ranks, count, largest_share)
    weight = ranks**-exponent
    return Sizes(count=count, share=weight / float(np.sum(count * weight)))


@lru_cache(maxsize=64)
def _median_draw(organizations: int, largest_share: float | None, partitions: int) -> Numbers:
    of = sizes(organizations, largest_share)
    draws = sorted((_draw(of, partitions, seed) for seed in range(DRAWS)), key=lambda shares: float(shares[0]))
    return draws[DRAWS // 2]


def partition_shares(organizations: int, largest_share: float | None, partitions: int) -> Numbers:
    """Return the share of all events that each partition has, the largest first.

    Organizations fall on partitions by a hash of their ids: of `DRAWS` sets of ids, the one whose largest partition
    is the median.
    """
    return _median_draw(organizations, largest_share, partitions)


def _draw(of: Sizes, partitions: int, seed: int) -> Numbers:
    shares = np.zeros(partitions)
    single = int(np.count_nonzero(of.count == 1))
    for rank in range(single):
        shares[partition_of(f"{seed}/{rank}", partitions)] += of.share[rank]
    # So many small ones that they spread evenly.
    shares += float(np.sum(of.count[single:] * of.share[single:])) / partitions
    ordered: Numbers = np.sort(shares)[::-1]
    return ordered


def _ranks(organizations: int) -> tuple[Numbers, Numbers]:
    """Return the middle rank of each group, and how many organizations are in it."""
    exact = np.arange(1, min(organizations, EXACT_RANKS) + 1, dtype=np.float64)
    if organizations <= EXACT_RANKS:
        return exact, np.ones(len(exact))
    bounds = np.unique(np.geomspace(EXACT_RANKS + 1, organizations + 1, GROUPS + 1).astype(np.int64))
    middles = np.sqrt(bounds[:-1] * (bounds[1:] - 1.0))
    return np.concatenate([exact, middles]), np.concatenate([np.ones(len(exact)), np.diff(bounds).astype(np.float64)])


def _exponent(ranks: Numbers, count: Numbers, largest_share: float) -> float:
    low, high = 0.0, 20.0
    for _ in range(60):
        middle = (low + high) / 2
        if 1 / float(np.sum(count * ranks**-middle)) < largest_share:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def teams_of(of: Sizes, teams: int) -> Numbers:
    """Return how many teams each organization of a group has, at least one each where there are enough."""
    organizations = float(np.sum(of.count))
    spare = max(teams - organizations, 0.0)
    found: Numbers = of.share * spare + min(teams / organizations, 1.0)
    return found


def users_of(of: Sizes, users: int) -> Numbers:
    """Return how many users each organization of a group has, at least one."""
    found: Numbers = 1.0 + of.share * max(users - float(np.sum(of.count)), 0.0)
    return found
