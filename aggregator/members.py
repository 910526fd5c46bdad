"""Members of the organizations and teams in a run, and their ordinals in the user indexes. Pure.

An index gives each user of an organization, and each user of a team, a dense ordinal in log order of the first counted
event there; it is never used again. The bitmaps of active users are made of these ordinals.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from aggregator.known import Known
from services.frames import Column
from services.keyspace import COUNT_FIELD

Mask = npt.NDArray[np.bool_]
COUNT: Final = COUNT_FIELD.decode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Members:
    """The distinct members of some events, sorted by parent.

    Attributes:
        of_event: (events,) each event's member.
        users: (members,) the user's place in the run's strings.
        parent: (members,) place of the parent in `parents`.
        parents: (parents, n) what names each parent: places in the run's strings.
        bounds: (parents + 1,) where each parent's members begin.
    """

    of_event: Column
    users: Column
    parent: Column
    parents: Column
    bounds: Sequence[int]


def members(parents: Column, users: Column) -> Members:
    """Return the distinct (parent, user) pairs.

    Args:
        parents: (events, n) what names each event's parent.
        users: (events,) each event's user.
    """
    names, parent_of_event = np.unique(parents, axis=0, return_inverse=True)
    width = int(users.max(initial=0)) + 1
    pairs, of_event = np.unique(parent_of_event.reshape(-1) * width + users, return_inverse=True)
    parent = pairs // width
    bounds = np.searchsorted(parent, np.arange(len(names) + 1)).tolist()
    return Members(of_event=of_event, users=pairs % width, parent=parent, parents=names, bounds=bounds)


@dataclass(frozen=True, slots=True)
class Ordinals:
    """`values`: (members,) ordinals, -1 for a member without a live event. `hashes`: the indexes' new entries."""

    values: Column
    hashes: list[list[str | bytes]]


def unknown_groups(
    of: Members, keys: Sequence[str], strings: Sequence[str], known: Known[str, int]
) -> list[list[str | bytes]]:
    """Return the groups that read the count of each parent with members that are not known, and their ordinals.

    Args:
        keys: the parents' indexes.
    """
    groups: list[list[str | bytes]] = []
    for at, key in enumerate(keys):
        names = [strings[user] for user in of.users[of.bounds[at] : of.bounds[at + 1]].tolist()]
        held = known.get(key)
        unknown = names if held is None else [name for name in names if name not in held]
        if unknown:
            groups.append([key, COUNT, *unknown])
    return groups


def learn(groups: Sequence[Sequence[str | bytes]], answers: Sequence[bytes | None], known: Known[str, int]) -> None:
    """Take in the answers to `unknown_groups`; a member that has no ordinal stays unknown."""
    at = 0
    for key, *names in groups:
        held = {str(name): int(value) for name, value in zip(names, answers[at:], strict=False) if value is not None}
        at += len(names)
        known.put(str(key), (known.get(str(key)) or {COUNT: 0}) | held)


def ordinals(of: Members, live: Mask, keys: Sequence[str], strings: Sequence[str], known: Known[str, int]) -> Ordinals:
    """Return every member's ordinal, new ones given in the order of first live events.

    Args:
        live: (events,) the events that count.
    """
    values = np.full(len(of.users), -1, dtype=np.int64)
    counts = []
    for at, key in enumerate(keys):
        begin, end = of.bounds[at], of.bounds[at + 1]
        held = known.get(key) or {}
        counts.append(held.get(COUNT, 0))
        values[begin:end] = [held.get(strings[user], -1) for user in of.users[begin:end].tolist()]
    living, first = np.unique(of.of_event[live], return_index=True)
    new = living[np.argsort(first, kind="stable")]
    entries: dict[int, list[str | bytes]] = {}
    for member in new[values[new] < 0].tolist():
        parent = int(of.parent[member])
        values[member] = counts[parent]
        entries.setdefault(parent, [keys[parent]]).extend((strings[of.users[member]], str(counts[parent])))
        counts[parent] += 1
    for parent, group in entries.items():
        group += [COUNT, str(counts[parent])]
    return Ordinals(values, list(entries.values()))
