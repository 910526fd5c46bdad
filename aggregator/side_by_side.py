"""Compares one partition's live counters with its shadow, batch by batch, always at one applied offset.

Each batch is read of both in one step, with both states. Where the live ones have moved on, the shadow is folded to
exactly that frame and read again: nobody else writes to it, so that it stands still there.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np

from aggregator.branch import Keeping
from aggregator.cells import expiry_s
from aggregator.comparing import (
    WINDOW_OF,
    Fields,
    Indexes,
    active_differences,
    counter_differences,
    index_differences,
    indexes_of,
    ledger_entries,
    read_key,
    record_differences,
    scope_of,
    state_differences,
)
from aggregator.dedup import PERIOD_MS, read_period
from aggregator.identities import Sought
from aggregator.shadow_run import Shadow, ShadowRun
from aggregator.shadow_store import PacedStore, taken_over
from services.clock import now_ms
from services.counters import PartitionState, ReadRequest
from services.frames import Column
from services.keyspace import CounterKey, Kind, Scope, epoch_prefix, ids_key, index_key, shadow_key, unescape
from services.partition_state import read_state
from services.verification import Difference, Part, Verification
from services.windows import Window, rfc3339

READ_FIELDS: Final = 20_000
"""Fields that one script call reads (design.md, invariant 10); the size of a batch follows the last one's."""

HASHES_MAX: Final = 160
SETS_AT_ONCE: Final = 40
"""Of at most some 512 identities each."""

SOON_S: Final = 300
"""What ends within this time is not compared: one side may be gone already."""

VALUE_BYTES: Final = 128
"""Of a value that weighs as one field."""

Pair = tuple[Fields, Fields]
"""One hash, live and as the log says."""

_COUNTERS: Final = (Kind.HOURS.value, Kind.DAYS.value)
_ACTIVE: Final = (Kind.ACTIVE_HOURS.value, Kind.ACTIVE_DAYS.value)


class SideBySide:
    """One partition, compared.

    Args:
        keeping: of the live counters: what has ended is not compared.
        found: gets what comes of it.
    """

    def __init__(self, run: ShadowRun, shadow: Shadow, keeping: Keeping, found: Verification) -> None:
        self._run = run
        self._shadow = shadow
        self._keeping = keeping
        self._found = found
        self._at = shadow.partition
        tag = run.tags[shadow.partition]
        self._live_prefix = epoch_prefix(tag, shadow.live_epoch)
        self._log_prefix = epoch_prefix(tag, shadow.epoch)
        self._shadow_state = shadow_key(tag)

    async def compare(self) -> None:
        """Compare everything that is there now."""
        names = await self._names()
        await self._compare_state()
        of_kind: dict[str, list[str]] = defaultdict(list)
        for name in sorted(names):
            of_kind[name.partition(":")[0]].append(name)
        for kind in _COUNTERS:
            await self._compare_each(of_kind[kind], self._counters)
        await self._compare_each(of_kind["l"], self._ledger)
        for kind in ("r", "rv"):
            await self._compare_each(of_kind[kind], self._records)
        await self._compare_users(of_kind["i"], [name for kind in _ACTIVE for name in of_kind[kind]])
        await self._compare_ids(of_kind["x"])

    async def _names(self) -> set[str]:
        """Return what the keys of both are called without their epoch's prefix."""
        names = set()
        async for epoch, key in self._run.keys(self._at):
            for prefix in (self._live_prefix, self._log_prefix):
                if epoch in (self._shadow.live_epoch, self._shadow.epoch) and key.startswith(prefix):
                    names.add(key.removeprefix(prefix))
        return names

    async def _compare_state(self) -> None:
        _, live, log = await self._pairs([])
        self._note(list(state_differences(self._at, live, log)), 1)

    async def _compare_each(
        self, names: Sequence[str], differences: Callable[[str, Pair], Iterable[Difference]]
    ) -> None:
        async for name, pair in self._read(names):
            self._note(list(differences(name, pair)), len(pair[0].keys() | pair[1].keys()))

    async def _compare_users(self, index_names: Sequence[str], active_names: Sequence[str]) -> None:
        """Compare bitmaps byte by byte first, then the indexes, which only grow, then by name what did not agree.

        An index that is alike now was alike before, so that equal bitmaps of it stand for the same users.
        """
        doubtful = []
        async for name, (live, log) in self._read(active_names):
            self._note([], len(live.keys() | log.keys()))
            if live != log:
                doubtful.append(name)
        unlike = set()
        async for name, pair in self._read(index_names):
            self._note(list(index_differences(self._at, scope_of(name.removeprefix("i:")), *pair)), len(pair[0]))
            if pair[0] != pair[1]:
                unlike.add(name)
        doubtful += [name for name in active_names if _index_of(name) in unlike]
        for name in filter(self._is_kept, sorted(set(doubtful))):
            [(live, log), index], _, _ = await self._pairs([name, _index_of(name)])
            self._note(list(self._actives(name, (live, log), indexes_of(*index))), 0)

    async def _read(self, names: Sequence[str]) -> Any:
        """Yield each hash, live and as the log says, some of them in one step."""
        start, size = 0, 8
        while start < len(names):
            # Looked at now and not before: what is about to end may be gone on one side.
            batch = list(filter(self._is_kept, names[start : start + size]))
            pairs, _, _ = await self._pairs(batch)
            for name, pair in zip(batch, pairs, strict=True):
                yield name, pair
            start += size
            weight = sum(map(_weight, pairs)) / max(1, len(batch))
            size = max(1, min(int(READ_FIELDS / (weight + 1)), 4 * size, HASHES_MAX // 2))

    async def _pairs(self, names: Sequence[str]) -> tuple[list[Pair], PartitionState, PartitionState]:
        """Return hashes and states of both at one applied offset."""
        live_keys = [self._live_prefix + name for name in names]
        log_keys = [self._log_prefix + name for name in names]
        request = ReadRequest(whole=[*live_keys, *log_keys, self._shadow_state])
        read = await self._run.retrying(lambda: self._run.live.read(self._at, request))
        live, log = read.state, read_state(read.whole[-1])
        if live is None or log is None or log.epoch != self._shadow.epoch:
            raise taken_over(self._at)
        *whole, _ = read.whole
        if await self._shadow.follow(self._run, live) != log.applied_offset:
            store = self._shadow.store
            again = await self._run.retrying(lambda: store.read(self._at, ReadRequest(whole=log_keys)))
            log = again.state
            if log is None or log.applied_offset != live.applied_offset:
                raise taken_over(self._at)
            whole[len(names) :] = again.whole
        return list(zip(whole[: len(names)], whole[len(names) :], strict=True)), live, log

    def _is_kept(self, name: str) -> bool:
        """Return whether a hash neither has ended nor is about to."""
        kind, _, rest = name.partition(":")
        if kind == "l":
            return self._stays(Window.HOUR, int(rest.rpartition("/")[2]), self._keeping.hours_s)
        key = read_key(name)
        if key is None:
            return True
        window = WINDOW_OF[key.kind]
        return self._stays(window, key.period, self._keeping.hours_s if window is Window.HOUR else self._keeping.days_s)

    def _stays(self, window: Window, period: int, keep_s: float | None) -> bool:
        end_s = expiry_s(window, [period], keep_s)[0]
        return not end_s or end_s > now_ms() // 1000 + SOON_S

    def _counters(self, name: str, pair: Pair) -> Iterator[Difference]:
        return counter_differences(self._at, _key_of(name), *pair)

    def _actives(self, name: str, pair: Pair, indexes: Indexes) -> Iterator[Difference]:
        return active_differences(self._at, _key_of(name), *pair, indexes)

    def _ledger(self, name: str, pair: Pair) -> Iterator[Difference]:
        topic, source, day = name.removeprefix("l:").split("/")

        def place(field: bytes) -> Mapping[str, Any]:
            start = rfc3339((int(day) * 24 + int(field)) * 3_600_000)
            return {"topic": unescape(topic), "sourcePartition": int(source), "hour": start}

        return record_differences(self._at, Part.LEDGER, place, *pair, read=ledger_entries)

    def _records(self, name: str, pair: Pair) -> Iterator[Difference]:
        unit = unescape(name.removeprefix("r:").rpartition("/")[0]) if name != "rv" else None

        def place(field: bytes) -> Mapping[str, Any]:
            text = field.decode(errors="replace")
            return {"unit": text, "record": "revision"} if unit is None else {"unit": unit, "record": text}

        return record_differences(self._at, Part.DIRECTORY, place, *pair)

    async def _compare_ids(self, names: Sequence[str]) -> None:
        """Look each side's identities up in the other side's index, period by period."""
        sets: dict[int, list[str]] = defaultdict(list)
        for name in names:
            text, slash, _ = name.removeprefix("x:").partition("/")
            sets[int(text)] += [name] if slash else []
        ended = [period for period in sets if not self._ids_stay(period)]
        if ended:
            until = rfc3339((max(ended) + 1) * PERIOD_MS)
            self._found.unverified.append(
                f"partition {self._at}: identities of events before {until}, whose sets may have ended by now"
            )
        for period in sorted(sets.keys() - set(ended)):
            await self._compare_id_counts(period)
            for start in range(0, len(sets[period]), SETS_AT_ONCE):
                batch = sets[period][start : start + SETS_AT_ONCE]
                await self._look_up(period, batch, of_live=False)
                await self._look_up(period, batch, of_live=True)

    def _ids_stay(self, period: int) -> bool:
        """Return whether no set of a period can have ended: its first event came no earlier than its begin."""
        keep_s = self._keeping.ids_s
        return keep_s is None or period * PERIOD_MS / 1000 + keep_s > now_ms() / 1000 + SOON_S

    async def _compare_id_counts(self, period: int) -> None:
        [pair], _, _ = await self._pairs([ids_key("", period)])
        live, log = (sum(generation.count for generation in read_period(side)) for side in pair)
        if live != log:
            place = {"period": _span(period), "field": "count"}
            self._note([Difference(partition=self._at, part=Part.IDS, place=place, live=live, log=log)], 1)

    async def _look_up(self, period: int, names: Sequence[str], *, of_live: bool) -> None:
        """Look up identities that one side holds in the index of the other, which is not behind it."""
        prefix, other = (self._live_prefix, self._log_prefix) if of_live else (self._log_prefix, self._live_prefix)
        shadows = self._run.shadows
        members = await self._run.call(lambda: shadows.members([prefix + name for name in names]))
        ids: Column = np.array([int(member) for of_set in members for member in of_set], dtype=np.int64)
        if of_live:
            # Identities are only ever added: once the shadow is where the live ones are now, it has all of these.
            await self._shadow.follow(self._run, await self._run.state(self._at))
        store = self._shadow.store if of_live else self._run.live
        generations = await self._generations(store, ids_key(other, period))
        sought = Sought(ids, other, period, generations)
        answers: list[int] = []
        if sought.groups:
            read = await self._run.retrying(lambda: store.read(self._at, ReadRequest(members=sought.groups)))
            if not of_live and (read.state is None or read.state.epoch != self._shadow.live_epoch):
                raise taken_over(self._at)
            answers = list(read.members)
        self._found.ids += len(ids)
        live, log = ("known", None) if of_live else (None, "known")
        places = [{"period": _span(period), "identity": identity} for identity in sought.missing(answers)]
        self._note([_missing(self._at, place, live, log) for place in places], 0)

    async def _generations(self, store: PacedStore, key: str) -> Any:
        read = await self._run.retrying(lambda: store.read(self._at, ReadRequest(whole=[key])))
        return read_period(read.whole[0])

    def _note(self, differences: Sequence[Difference], cells: int) -> None:
        self._found.note(differences)
        self._found.cells += cells
        self._run.came_on(cells=cells)


def _missing(partition: Any, place: Mapping[str, Any], live: Any, log: Any) -> Difference:
    return Difference(partition=partition, part=Part.IDS, place=place, live=live, log=log)


def _key_of(name: str) -> CounterKey:
    key = read_key(name)
    assert key is not None
    return key


def _index_of(name: str) -> str:
    """Return the user index that a hash of bitmaps is made of."""
    scope: Scope = _key_of(name).scope
    return index_key("", scope)


def _span(period: int) -> str:
    return f"{rfc3339(period * PERIOD_MS)}/{rfc3339((period + 1) * PERIOD_MS)}"


def _weight(pair: Pair) -> int:
    return sum(1 + len(value) // VALUE_BYTES for side in pair for value in side.values())
