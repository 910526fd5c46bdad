"""Compares all of one partition with what its log says, and tells what could not be compared."""

from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, Final

from aggregator.both_sides import HASHES_MAX, BothSides, Pair
from aggregator.comparing import (
    active_differences,
    counter_differences,
    index_differences,
    index_of,
    indexes_of,
    key_of,
    ledger_entries,
    ledger_hour,
    record_differences,
    scope_of,
    state_differences,
)
from aggregator.ids_side_by_side import compare_ids
from services.keyspace import Kind, unescape
from services.verification import Difference, Part, Verification
from services.windows import HOUR_MS, rfc3339

_COUNTERS: Final = (Kind.HOURS.value, Kind.DAYS.value)
_ACTIVE: Final = (Kind.ACTIVE_HOURS.value, Kind.ACTIVE_DAYS.value)
_BY_NAME: Final = HASHES_MAX // 8
"""Hashes of bitmaps that are read beside their user index."""


class SideBySide:
    """One partition, compared; `found` gets what comes of it."""

    def __init__(self, both: BothSides, found: Verification) -> None:
        self._both = both
        self._found = found
        self._at = both.shadow.partition
        self._large: set[str] = set()

    async def compare(self) -> None:
        """Compare everything that is there now."""
        of_kind: dict[str, list[str]] = defaultdict(list)
        for name in sorted(await self._both.names()):
            of_kind[name.partition(":")[0]].append(name)
        for kind in _COUNTERS:
            await self._compare_each(of_kind[kind], self._counters)
        await self._compare_each(of_kind["l"], self._ledger)
        bitmaps = [name for kind in _ACTIVE for name in of_kind[kind]]
        self._large = await self._both.large_indexes({*of_kind["i"], *map(index_of, bitmaps)})
        if self._both.shadow.sound_ms is None:
            for kind in ("r", "rv"):
                await self._compare_each(of_kind[kind], self._records)
            await self._compare_users(of_kind["i"], bitmaps)
        else:
            await self._compare_by_name(bitmaps)
            self._found.unverified.append(self._both.shadow.what_is_unsound())
        await compare_ids(self._both, of_kind["x"], self._found)
        await self._compare_state()
        self._note(self._both.strangers.differences(), 0)

    async def _compare_state(self) -> None:
        _, (live, log) = await self._both.pairs([])
        whole = self._both.shadow.sound_ms is None
        self._note(state_differences(self._at, live, log, whole=whole), 1)

    async def _compare_each(
        self, names: Sequence[str], differences: Callable[[str, Pair], Iterable[Difference]]
    ) -> None:
        async for name, pair in self._both.read(names):
            self._note(differences(name, pair), len(pair[0].keys() | pair[1].keys()))

    async def _compare_users(self, index_names: Sequence[str], bitmap_names: Sequence[str]) -> None:
        """Compare bitmaps byte by byte first, then the indexes, which only grow, then by name what did not agree.

        An index that is alike now was alike before, so that equal bitmaps of it stand for the same users.
        """
        doubtful, unlike = set(), set()
        async for name, (live, log) in self._both.read(bitmap_names):
            self._note([], len(live.keys() | log.keys()))
            if live != log:
                doubtful.add(name)
        async for name, pair in self._indexes(index_names):
            scope = scope_of(name.removeprefix("i:"))
            self._note(index_differences(self._at, scope, *pair), len(pair[0].keys() | pair[1].keys()))
            if pair[0] != pair[1]:
                unlike.add(name)
        await self._compare_by_name([name for name in bitmap_names if name in doubtful or index_of(name) in unlike])

    async def _indexes(self, names: Sequence[str]) -> AsyncIterator[tuple[str, Pair]]:
        async for each in self._both.read([name for name in names if name not in self._large]):
            yield each
        for name in names:
            if name in self._large:
                yield name, await self._both.index(name)

    async def _compare_by_name(self, bitmap_names: Sequence[str]) -> None:
        for index, names in groupby(sorted(bitmap_names, key=index_of), key=index_of):
            of_index = list(names)
            for start in range(0, len(of_index), _BY_NAME):
                batch = list(filter(self._both.is_kept, of_index[start : start + _BY_NAME]))
                if index in self._large:
                    # Behind the bitmaps: then it has whoever stands in them.
                    pairs, _ = await self._both.pairs(batch)
                    of_users = await self._both.index(index)
                else:
                    (of_users, *pairs), _ = await self._both.pairs([index, *batch])
                indexes = indexes_of(*of_users)
                for name, pair in zip(batch, pairs, strict=True):
                    cells = 0 if self._both.shadow.sound_ms is None else len(pair[0].keys() | pair[1].keys())
                    self._note(active_differences(self._at, key_of(name), *pair, indexes), cells)

    def _counters(self, name: str, pair: Pair) -> Iterator[Difference]:
        return counter_differences(self._at, key_of(name), *pair)

    def _ledger(self, name: str, pair: Pair) -> Iterator[Difference]:
        topic, source, _ = name.removeprefix("l:").split("/")

        def place(field: bytes) -> Mapping[str, Any]:
            hour = rfc3339(ledger_hour(name, field) * HOUR_MS)
            return {"topic": unescape(topic), "sourcePartition": int(source), "hour": hour}

        return record_differences(self._at, Part.LEDGER, place, *pair, read=ledger_entries)

    def _records(self, name: str, pair: Pair) -> Iterator[Difference]:
        unit = None if name == "rv" else unescape(name.removeprefix("r:").rpartition("/")[0])

        def place(field: bytes) -> Mapping[str, Any]:
            text = field.decode(errors="replace")
            return {"unit": text, "record": "revision"} if unit is None else {"unit": unit, "record": text}

        return record_differences(self._at, Part.DIRECTORY, place, *pair)

    def _note(self, differences: Iterable[Difference], cells: int) -> None:
        self._found.note(list(differences))
        self._found.cells += cells
        self._both.run.came_on(cells=cells)
