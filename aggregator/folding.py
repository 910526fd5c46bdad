"""The fold: a run of frames and what the store holds become one apply request. Pure.

`Fold(run, …).request` says what to read; `finish` takes the answer, judges copies, sums, and says what to write. Both
belong to one (epoch, applied offset): a fold made on a read is thrown away when the store has moved on.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from aggregator.branch import Branch, Place
from aggregator.cells import expiry_s
from aggregator.dedup import Additions, Growth, Mask, Periods, additions, copies, lookup
from aggregator.directory import DirectoryFold
from aggregator.ledger import places_of, rows_of, tally
from aggregator.members import Index, members
from aggregator.run import Run
from aggregator.stored_cells import Hash, Writes, all_known
from services.counters import ApplyRequest, ReadRequest, ReadResult
from services.dedup_index import Generation
from services.frames import Column
from services.identifiers import Epoch
from services.keyspace import escape
from services.windows import Window

_ONE_CELL: Final = 3
"""Length of a group of one cell, which most are: key, field, value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Folded:
    """A run folded.

    Attributes:
        request: for the store; its hashes are user indexes, then those of `changed`, then the directory's.
        periods: the periods of the dedup index that change, as they are afterwards.
        events: of usage.
        counted, duplicates, redelivered: events, of usage and of the directory.
        counted_broker_ms: of each usage event that is counted.
        oldest_duplicate_s: largest age of a usage event that is a duplicate, from its `time` to its broker time; None
            without any.
        saturated: counters that reached their limit.
        changed, changed_indexes: what the worker knows of the hashes and user indexes that are written.
        growths: what comes to the dedup index.
        place: where the run was folded.
    """

    request: ApplyRequest
    periods: dict[int, tuple[Generation, ...]]
    events: int
    counted: int
    duplicates: int
    redelivered: int
    counted_broker_ms: Column
    oldest_duplicate_s: float | None
    saturated: int
    changed: Sequence[Hash]
    changed_indexes: Sequence[Index]
    growths: Sequence[Growth]
    place: Place

    def learn(self) -> None:
        """Take what is written into the worker's knowledge, once it is sent."""
        written, indexes = self.request.hashes, len(self.changed_indexes)
        for index, (_, *entries) in zip(self.changed_indexes, written[:indexes], strict=True):
            index.update(zip(map(str, entries[::2]), map(int, entries[1::2]), strict=True))
        cells = written[indexes : indexes + len(self.changed)]
        for known, group in zip(self.changed, cells, strict=True):
            if len(group) == _ONE_CELL:
                known[group[1]] = group[2]  # type: ignore[index,assignment]
            else:
                known.update(zip(group[1::2], group[2::2], strict=True))  # type: ignore[arg-type]
        knowledge, elapsed_s, keeping = self.place.knowledge, self.place.elapsed_s, self.place.keeping
        for growth in self.growths:
            if growth.begins:
                knowledge.ids.begin(growth.key, math.inf if keeping.ids_s is None else elapsed_s + keeping.ids_s)
            knowledge.ids.add(growth.key, growth.ids)
            knowledge.renewals.note(growth.key, growth.ranges, growth.renewed, elapsed_s + keeping.ids_pause_s)


class Fold:
    """One run being folded on the state after offset `run.first` - 1.

    Args:
        periods: at least `aggregator.dedup.periods_of(run)`.
    """

    def __init__(self, run: Run, *, epoch: Epoch, periods: Periods, place: Place) -> None:
        self._run, self._epoch, self._periods, self._place = run, epoch, periods, place
        self._texts = list(map(str, run.identity.tolist()))
        self._lookup = lookup(run, self._texts, periods, place.prefix, place.knowledge.ids, place.elapsed_s)
        self._branches = _branches(run, place)
        self._directory = DirectoryFold(run.directory, place.prefix)
        self._ledger_rows = rows_of(run)
        self._ledger_places = places_of(place.prefix, self._ledger_rows)
        self._ledger_held = [place.knowledge.hashes.get(key) for key, _ in self._ledger_places]
        self._unknown = [each for branch in self._branches for each in branch.unknown()]
        for at, (key, _) in enumerate(self._ledger_places):
            if self._ledger_held[at] is None:
                self._unknown.append((key, self._ledger_held, at))

    @property
    def items(self) -> int:
        """How many ids and cells one script call on this run holds."""
        return len(self._run) + self._directory.items + sum(branch.cells for branch in self._branches)

    @property
    def request(self) -> ReadRequest:
        return ReadRequest(
            fields=[
                *(group for branch in self._branches for group in branch.indexes.groups()),
                *self._directory.groups(),
            ],
            members=self._lookup.groups,
            whole=[key for key, _, _ in self._unknown],
        )

    def finish(self, read: ReadResult) -> Folded:
        """Return what to write, given the answer to `request`."""
        directory = self._directory.finish(self._take_in(read))
        copied = copies(self._run, self._lookup, read.members)
        live = ~copied
        ordinals = [branch.ordinals(live) for branch in self._branches]
        indexes = [group for each in ordinals for group in each.hashes]
        writes = Writes(self._place.now_s, indexes, [0] * len(indexes), [])
        for branch, of in zip(self._branches, ordinals, strict=True):
            branch.write(live, of, writes)
        ledger = tally(self._run, self._ledger_rows, copied, directory.copied)
        hashes = all_known(self._ledger_held)
        held = [known.get(field) for known, (_, field) in zip(hashes, self._ledger_places, strict=True)]
        ends = expiry_s(Window.HOUR, ledger.days(), self._place.keeping.hours_s)
        writes.add(ledger.write_groups(self._ledger_places, held), hashes, ends)
        writes.hashes += directory.hashes
        writes.expiry += [0] * len(directory.hashes)
        added = additions(
            self._run,
            self._texts,
            live,
            self._periods,
            self._place.prefix,
            self._place.knowledge.renewals,
            self._place.elapsed_s,
        )
        unchanged = np.concatenate([copied, directory.copied])
        of_directory = np.array([each.redelivered for each in self._run.directory], dtype=np.bool_)
        again = np.concatenate([self._run.redelivered, of_directory])
        redelivered = int(np.count_nonzero(unchanged & again))
        return Folded(
            request=self._apply_request(writes, added),
            periods=added.periods,
            events=len(self._run),
            counted=int(np.count_nonzero(~unchanged)),
            duplicates=int(np.count_nonzero(unchanged)) - redelivered,
            redelivered=redelivered,
            counted_broker_ms=self._run.broker_ms[live],
            oldest_duplicate_s=_oldest_s(self._run, copied & ~self._run.redelivered),
            saturated=writes.saturated,
            changed=writes.changed,
            changed_indexes=[index for each in ordinals for index in each.changed],
            growths=added.growths,
            place=self._place,
        )

    def _apply_request(self, writes: Writes, added: Additions) -> ApplyRequest:
        run, keeping = self._run, self._place.keeping
        return ApplyRequest(
            epoch=self._epoch,
            first=run.first,
            last=run.last,
            frame_id=run.frames[-1].frame_id,
            source_partitions=run.source_partitions,
            sources=run.positions,
            months=run.months,
            hashes=writes.hashes,
            hash_expiry_s=writes.expiry,
            sets=added.sets,
            living_sets=added.living_sets,
            living_hashes=added.hashes,
            lifetime_s=0 if keeping.ids_s is None else max(round(keeping.ids_s), 1) + keeping.ids_pause_s,
        )

    def _take_in(self, read: ReadResult) -> Iterator[bytes | None]:
        """Put what was read where it is wanted, and into the worker's knowledge; return the directory's answers."""
        hashes = self._place.knowledge.hashes
        for (key, held, at), fields in zip(self._unknown, read.whole, strict=True):
            # Several ledger rows may lie in one hash, which must be known once.
            known = hashes.get(key) if held is self._ledger_held else None
            if known is None:
                known = dict(fields)
                hashes.put(key, known)
            held[at] = known
        answers = iter(read.fields)
        for branch in self._branches:
            branch.indexes.take_in(answers)
        return answers


def _oldest_s(run: Run, duplicate: Mask) -> float | None:
    rows = np.flatnonzero(duplicate)
    return float((run.broker_ms[rows] - run.time_ms[rows]).max()) / 1000 if len(rows) else None


def _branches(run: Run, place: Place) -> tuple[Branch, Branch]:
    """Return the users of organizations, and those of teams."""
    strings = [escape(text) for text in run.strings]
    users = members(run.organization[:, None], run.user)
    organizations = [strings[at] for (at,) in users.parents.tolist()]
    user_parts = [
        f"{organizations[parent]}/u/{strings[user]}"
        for parent, user in zip(users.parent.tolist(), users.users.tolist(), strict=True)
    ]
    rows = np.flatnonzero(run.team)
    team_users = members(np.stack([run.organization, run.team - 1], axis=1)[rows], run.user[rows])
    teams = [f"{strings[organization]}/t/{strings[team]}" for organization, team in team_users.parents.tolist()]
    return (
        Branch(run, np.arange(len(run)), users, organizations, user_parts, place),
        Branch(run, rows, team_users, teams, None, place),
    )
