"""The fold: a run of frames and what the store holds become one apply request. Pure.

`Fold(run, …).request` says what to read; `finish` takes the answer, judges copies, sums, and says what to write. Both
belong to one (epoch, applied offset): a fold made on a read is thrown away when the store has moved on.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from aggregator.actives import by_row, with_ordinals
from aggregator.cells import Cells, Layout, expiry_s, lay_out
from aggregator.dedup import Generation, Mask, Periods, additions, copies, lookup
from aggregator.known import Knowledge, Known
from aggregator.ledger import places_of, rows_of, tally
from aggregator.levels import Chain, ChainSums, chain, sum_up
from aggregator.members import Index, Indexes, Ordinals, members
from aggregator.run import Run
from services.counter_codec import pack, unpack
from services.counters import ApplyRequest, ReadRequest, ReadResult
from services.frames import Column
from services.identifiers import Epoch
from services.keyspace import Kind, escape
from services.metrics_contract import COUNTER_MAX, PRODUCTS
from services.windows import Window

_COUNTER_KINDS: Final = {Window.HOUR: Kind.HOURS, Window.DAY: Kind.DAYS}
_SOON_S: Final = 3_600
"""More than a call takes and clocks differ."""

Hash = dict[bytes, bytes]
"""Fields of one hash that a worker knows whole."""

_ACTIVE_KINDS: Final = {Window.HOUR: Kind.ACTIVE_HOURS, Window.DAY: Kind.ACTIVE_DAYS}


@dataclass(frozen=True, slots=True, kw_only=True)
class Keeping:
    """How long things are kept, in seconds; None for ever.

    Attributes:
        hours_s, days_s: hour and day windows after their end.
        ids_s: dedup sets after their last write.
    """

    hours_s: float | None
    days_s: float | None
    ids_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Folded:
    """A run folded.

    Attributes:
        request: for the store; its hashes are user indexes, then those of `changed`.
        periods: the periods of the dedup index that change, as they are afterwards.
        counted, duplicates, redelivered: events.
        saturated: counters that reached their limit.
        changed, changed_indexes: what the worker knows of the hashes and user indexes that are written.
    """

    request: ApplyRequest
    periods: dict[int, tuple[Generation, ...]]
    counted: int
    duplicates: int
    redelivered: int
    saturated: int
    changed: Sequence[Hash]
    changed_indexes: Sequence[Index]

    def learn(self) -> None:
        """Take what was written into the worker's knowledge, once it is applied."""
        written, indexes = self.request.hashes, len(self.changed_indexes)
        for index, (_, *entries) in zip(self.changed_indexes, written[:indexes], strict=True):
            index.update(zip(map(str, entries[::2]), map(int, entries[1::2]), strict=True))
        for known, group in zip(self.changed, written[indexes:], strict=True):
            known.update(zip(group[1::2], group[2::2], strict=True))  # type: ignore[arg-type]


class _Stored:
    """Cells of one level with their place in the store."""

    def __init__(
        self, cells: Cells, prefix: str, parts: Sequence[str], keep_s: float | None, *, with_actives: bool
    ) -> None:
        self.cells = cells
        self.layout: Layout = lay_out(cells)
        self.keys = self.layout.keys(prefix, _COUNTER_KINDS[cells.window].value, parts)
        self.active_keys = self.layout.keys(prefix, _ACTIVE_KINDS[cells.window].value, parts) if with_actives else []
        self.ends = expiry_s(cells.window, self.layout.periods, keep_s)
        self.held: list[Hash | None] = []
        self.active_held: list[Hash | None] = []

    def look_up(self, known: Known[bytes, bytes], now_s: int) -> None:
        """Find what is known of each hash; nothing of one that may have ended since."""
        for keys, held in ((self.keys, self.held), (self.active_keys, self.active_held)):
            held.extend(map(known.get, keys))
            for at, end in enumerate(self.ends[: len(keys)]):
                if 0 < end <= now_s:
                    held[at] = None

    def unknown(self) -> Iterator[tuple[str, list[Hash | None], int]]:
        """Yield each hash to read: its key, and where it is wanted."""
        for keys, held in ((self.keys, self.held), (self.active_keys, self.active_held)):
            for at, known in enumerate(held):
                if known is None:
                    yield keys[at], held, at


@dataclass(slots=True)
class _Writes:
    """Groups gathered for the apply request."""

    hashes: list[list[str | bytes]]
    expiry: list[int]
    changed: list[Hash]
    soon_s: int
    saturated: int = 0

    def add(
        self, stored: _Stored, keys: Sequence[str], held: Sequence[Hash], values: Sequence[bytes], keep: Mask
    ) -> None:
        """Add the values of the cells to keep."""
        layout = stored.layout
        groups = layout.write_groups(keys, values)
        if not keep.all():
            whole = np.logical_and.reduceat(keep, layout.bounds[:-1]).tolist()
            for at, group in enumerate(groups):
                if not whole[at]:
                    kept = np.flatnonzero(keep[layout.bounds[at] : layout.bounds[at + 1]]).tolist()
                    groups[at] = [group[0], *(part for row in kept for part in group[2 * row + 1 : 2 * row + 3])]
        for known, group, end in zip(held, groups, stored.ends, strict=True):
            if len(group) > 1:
                self.hashes.append(group)
                # One about to end may be gone when this is written, and would come back without an end.
                self.expiry.append(0 if known and end > self.soon_s else end)
                self.changed.append(known)


class Fold:
    """One run being folded on the state after offset `run.first` - 1."""

    def __init__(
        self,
        run: Run,
        *,
        epoch: Epoch,
        prefix: str,
        periods: Periods,
        keeping: Keeping,
        knowledge: Knowledge,
        now_s: int,
    ) -> None:
        """Work out what to read.

        Args:
            prefix: `services.keyspace.epoch_prefix` of the partition.
            periods: at least `aggregator.dedup.periods_of(run)`.
            knowledge: of the partition at `run.first` - 1; the fold adds what it reads.
            now_s: UNIX seconds; what should have ended by now is read again. It decides no outcome.
        """
        self._run, self._epoch, self._prefix, self._periods, self._keeping = run, epoch, prefix, periods, keeping
        self._now_s = now_s
        self._texts = [str(identity) for identity in run.identity.tolist()]
        self._lookup = lookup(run, self._texts, periods, prefix)
        self._knowledge = knowledge
        self._ledger_rows = rows_of(run)
        self._ledger_places = places_of(prefix, self._ledger_rows)
        strings = [escape(text) for text in run.strings]
        self._team_events = np.flatnonzero(run.team)
        teams = np.stack([run.organization, run.team - 1], axis=1)[self._team_events]
        self._users = members(run.organization[:, None], run.user)
        self._team_users = members(teams, run.user[self._team_events])
        organization_parts = [strings[at] for (at,) in self._users.parents.tolist()]
        team_parts = [f"{strings[org]}/t/{strings[team]}" for org, team in self._team_users.parents.tolist()]
        user_parts = [
            f"{organization_parts[parent]}/u/{strings[user]}"
            for parent, user in zip(self._users.parent.tolist(), self._users.users.tolist(), strict=True)
        ]
        self._user_chain = chain(self._users.of_event, self._users.parent, run.hour, run.product)
        self._team_chain = chain(
            self._team_users.of_event,
            self._team_users.parent,
            run.hour[self._team_events],
            run.product[self._team_events],
        )
        hours_s, days_s = keeping.hours_s, keeping.days_s
        self._stored = (
            _Stored(self._user_chain.member_hours, prefix, user_parts, hours_s, with_actives=False),
            _Stored(self._user_chain.member_days, prefix, user_parts, days_s, with_actives=False),
            _Stored(self._user_chain.parent_hours, prefix, organization_parts, hours_s, with_actives=True),
            _Stored(self._user_chain.parent_days, prefix, organization_parts, days_s, with_actives=True),
            _Stored(self._team_chain.parent_hours, prefix, team_parts, hours_s, with_actives=True),
            _Stored(self._team_chain.parent_days, prefix, team_parts, days_s, with_actives=True),
        )
        hashes = knowledge.hashes
        for stored in self._stored:
            stored.look_up(hashes, now_s)
        self._ledger_held: list[Hash | None] = [hashes.get(key) for key, _ in self._ledger_places]
        self._unknown = [
            *(each for stored in self._stored for each in stored.unknown()),
            *(
                (key, self._ledger_held, at)
                for at, (key, _) in enumerate(self._ledger_places)
                if self._ledger_held[at] is None
            ),
        ]
        index_keys = [f"{prefix}i:{part}" for part in organization_parts]
        team_index_keys = [f"{prefix}i:{part}" for part in team_parts]
        self._indexes = Indexes(self._users, index_keys, run.strings, knowledge.ordinals)
        self._team_indexes = Indexes(self._team_users, team_index_keys, run.strings, knowledge.ordinals)

    @property
    def items(self) -> int:
        """How many ids and cells one script call on this run holds."""
        return len(self._run) + sum(len(stored.cells) for stored in self._stored)

    @property
    def request(self) -> ReadRequest:
        return ReadRequest(
            fields=[*self._indexes.groups(), *self._team_indexes.groups()],
            members=self._lookup.groups,
            whole=[key for key, _, _ in self._unknown],
        )

    def finish(self, read: ReadResult) -> Folded:
        """Return what to write, given the answer to `request`."""
        run = self._run
        self._take_in(read)
        copied = copies(run, self._lookup, read.members)
        live = ~copied
        users = self._indexes.ordinals(live)
        team_users = self._team_indexes.ordinals(live[self._team_events])
        indexed = [*users.hashes, *team_users.hashes]
        writes = _Writes(indexed, [0] * len(indexed), [], self._now_s + _SOON_S)
        sums = sum_up(self._user_chain, live, run.counters)
        team_sums = sum_up(self._team_chain, live[self._team_events], run.counters[self._team_events])
        levels = (*_levels(self._user_chain, sums, users), *_levels(self._team_chain, team_sums, team_users)[2:])
        for stored, level in zip(self._stored, levels, strict=True):
            _write_counters(writes, stored, level)
            if level.active is not None:
                _write_actives(writes, stored, level.active)
        ledger = tally(run, self._ledger_rows, copied)
        ledger_held = _all_known(self._ledger_held)
        held = [known.get(field) for known, (_, field) in zip(ledger_held, self._ledger_places, strict=True)]
        writes.hashes += ledger.write_groups(self._ledger_places, held)
        writes.changed += ledger_held
        writes.expiry += expiry_s(Window.HOUR, ledger.days(), self._keeping.hours_s)
        added = additions(run, self._texts, live, self._periods, self._prefix)
        redelivered = int(np.count_nonzero(copied & run.redelivered))
        return Folded(
            request=ApplyRequest(
                epoch=self._epoch,
                first=run.first,
                last=run.last,
                frame_id=run.frames[-1].frame_id,
                source_partitions=run.source_partitions,
                sources=run.positions,
                hashes=writes.hashes,
                hash_expiry_s=writes.expiry,
                sets=added.sets,
                living_hashes=added.hashes,
                lifetime_s=0 if self._keeping.ids_s is None else max(round(self._keeping.ids_s), 1),
            ),
            periods=added.periods,
            counted=int(np.count_nonzero(live)),
            duplicates=int(np.count_nonzero(copied)) - redelivered,
            redelivered=redelivered,
            saturated=writes.saturated,
            changed=writes.changed,
            changed_indexes=[*users.changed, *team_users.changed],
        )

    def _take_in(self, read: ReadResult) -> None:
        """Put what was read where it is wanted, and into the worker's knowledge."""
        hashes = self._knowledge.hashes
        for (key, held, at), fields in zip(self._unknown, read.whole, strict=True):
            known = hashes.get(key) if held is self._ledger_held else None
            if known is None:
                known = dict(fields)
                hashes.put(key, known)
            held[at] = known
        answers = iter(read.fields)
        self._indexes.take_in(answers)
        self._team_indexes.take_in(answers)


@dataclass(frozen=True, slots=True)
class _Active:
    """Active members of a parent's cells: `rows` of the level, and each one's `ordinals`."""

    rows: Column
    ordinals: Column


@dataclass(frozen=True, slots=True)
class _Level:
    """What comes to the cells of one level: live `events` and `counters` by row."""

    events: Column
    counters: Column
    active: _Active | None


def _levels(levels: Chain, sums: ChainSums, of: Ordinals) -> tuple[_Level, _Level, _Level, _Level]:
    """Return member hours, member days, parent hours and parent days."""
    hours = np.flatnonzero(sums.member_hour_counters[:, 0])
    days = np.flatnonzero(sums.member_day_counters[:, 0])
    return (
        _Level(sums.member_hour_events, sums.member_hour_counters, None),
        _Level(sums.member_day_events, sums.member_day_counters, None),
        _Level(
            sums.parent_hour_events,
            sums.parent_hour_counters,
            _Active(levels.parent_hours_from.group[hours], of.values[levels.member_hours.scopes[hours]]),
        ),
        _Level(
            sums.parent_day_events,
            sums.parent_day_counters,
            _Active(levels.parent_days_from.group[days], of.values[levels.member_days.scopes[days]]),
        ),
    )


def _all_known(held: Sequence[Hash | None]) -> list[Hash]:
    return [known for known in held if known is not None]


def _write_counters(writes: _Writes, stored: _Stored, level: _Level) -> None:
    if not len(stored.cells):
        return
    held = _all_known(stored.held)
    total = unpack(stored.layout.values(held)) + level.counters
    if total.max() > COUNTER_MAX:
        writes.saturated += int(np.count_nonzero(total > COUNTER_MAX))
        total = np.minimum(total, COUNTER_MAX)
    products = stored.cells.products
    values = [b""] * len(total)
    for product in PRODUCTS:
        rows = np.flatnonzero(products == product.code)
        for row, value in zip(rows.tolist(), pack(total[rows], len(product.counters)), strict=True):
            values[row] = value
    writes.add(stored, stored.keys, held, values, level.events > 0)


def _write_actives(writes: _Writes, stored: _Stored, active: _Active) -> None:
    if not len(stored.cells):
        return
    hashes = _all_known(stored.active_held)
    held = stored.layout.values(hashes)
    values = [b""] * len(stored.cells)
    changed = np.zeros(len(stored.cells), dtype=np.bool_)
    for row, members_of_row in by_row(active.rows, active.ordinals).items():
        values[row] = with_ordinals(held[row], members_of_row)
        changed[row] = values[row] != held[row]
    writes.add(stored, stored.active_keys, hashes, values, changed)
