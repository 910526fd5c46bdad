"""Members of the organizations and teams in a run, and their ordinals in the user indexes. Pure.

An index gives each user of an organization, and each user of a team, a dense ordinal in log order of the first counted
event there; it is never used again. The bitmaps of active users are made of these ordinals.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from aggregator.known import Known
from aggregator.rows import grouped, joined
from services.frames import Column
from services.keyspace import COUNT_FIELD

Mask = npt.NDArray[np.bool_]
COUNT: Final = COUNT_FIELD.decode()

Index = dict[str, int]
"""What is known of one user index: ordinals by user, and the count."""


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
    of_parent = grouped(joined(list(parents.T)))
    names = parents[of_parent.first]
    of_pair = grouped(joined([of_parent.group, users]))
    parent = of_parent.group[of_pair.first]
    bounds = parent.searchsorted(np.arange(len(names) + 1)).tolist()
    return Members(of_event=of_pair.group, users=users[of_pair.first], parent=parent, parents=names, bounds=bounds)


@dataclass(frozen=True, slots=True)
class Ordinals:
    """`values`: (members,) ordinals, -1 for a member without a live event.

    `hashes` are the indexes' new entries as groups, `changed` what the worker knows of each of these indexes.
    """

    values: Column
    hashes: list[list[str | bytes]]
    changed: list[Index]


class Indexes:
    """The user indexes of some parents, as far as the worker knows them.

    What is known is looked up once: the worker may forget it while the rest is read.

    Args:
        of: the members.
        keys: each parent's index.
        strings: of the run.
        known: the worker's ordinals; what is read is added.
    """

    def __init__(self, of: Members, keys: Sequence[str], strings: Sequence[str], known: Known[str, int]) -> None:
        self._of = of
        self._keys = keys
        self._names = [strings[user] for user in of.users.tolist()]
        self._known = known
        self._held = [known.get(key) for key in keys]
        self.unknown = [list(self._unknown(at)) for at in range(len(keys))]

    def groups(self) -> Iterator[list[str | bytes]]:
        """Yield the groups that read the count of each parent with unknown members, and their ordinals."""
        for key, names in zip(self._keys, self.unknown, strict=True):
            if names:
                yield [key, COUNT, *names]

    def take_in(self, answers: Iterator[bytes | None]) -> None:
        """Take in the answers to `groups`; a member that has no ordinal stays unknown."""
        for at, names in enumerate(self.unknown):
            if not names:
                continue
            held = self._held[at]
            if held is None:
                held = self._held[at] = {}
                self._known.put(self._keys[at], held)
            held[COUNT] = int(next(answers) or 0)
            held.update((name, int(value)) for name in names if (value := next(answers)) is not None)

    def ordinals(self, live: Mask) -> Ordinals:
        """Return every member's ordinal, new ones given in the order of first live events.

        Args:
            live: (events,) the events that count.
        """
        values = np.full(len(self._names), -1, dtype=np.int64)
        for at, held in enumerate(self._held):
            begin, end = self._of.bounds[at], self._of.bounds[at + 1]
            if held is not None:
                values[begin:end] = [held.get(name, -1) for name in self._names[begin:end]]
        of_event = self._of.of_event[live]
        of_living = grouped(of_event)
        living = of_event[of_living.first]
        new = living[of_living.first.argsort(kind="stable")]
        counts = [held[COUNT] if held else 0 for held in self._held]
        entries: dict[int, list[str | bytes]] = {}
        for member in new[values[new] < 0].tolist():
            parent = int(self._of.parent[member])
            values[member] = counts[parent]
            entries.setdefault(parent, [self._keys[parent]]).extend((self._names[member], str(counts[parent])))
            counts[parent] += 1
        for parent, group in entries.items():
            group += [COUNT, str(counts[parent])]
        changed = [held for parent in entries if (held := self._held[parent]) is not None]
        return Ordinals(values, list(entries.values()), changed)

    def _unknown(self, at: int) -> Iterator[str]:
        held = self._held[at] or {}
        for name in self._names[self._of.bounds[at] : self._of.bounds[at + 1]]:
            if name not in held:
                yield name
