"""Reads one partition's live counters and its shadow, batch by batch, always at one applied offset.

Each batch is read of both in one step, with both states. Where the live ones have moved on, the shadow is folded to
exactly that frame and read again: nobody else writes to it, so that it stands still there.
"""

from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Final

from aggregator.branch import Keeping
from aggregator.cells import expiry_s
from aggregator.comparing import WINDOW_OF, Fields, read_key, sound_fields
from aggregator.shadow import Shadow
from aggregator.shadow_run import ShadowRun
from aggregator.shadow_store import taken_over
from aggregator.strangers import Strangers
from services.clock import now_ms
from services.counters import PartitionState, ReadRequest
from services.keyspace import COUNT_FIELD, epoch_prefix, shadow_key
from services.partition_state import read_state
from services.windows import Window

READ_FIELDS: Final = 20_000
"""Fields that one script call reads (design.md, invariant 10); the size of a batch follows the last one's."""

HASHES_MAX: Final = 160
INDEX_WHOLE_MAX: Final = 10_000
"""Users of an organization or team whose index is read in one call: of 100,000 on both sides it took Redis 400 ms."""

INDEXES_AT_ONCE: Final = 500
FIRST_BATCH: Final = 8

SOON_S: Final = 300
"""What ends within this time is not compared: one side may be gone already."""

VALUE_BYTES: Final = 128
"""Of a value that weighs as one field."""

Pair = tuple[Fields, Fields]
"""One hash, live and as the log says."""


class BothSides:
    """One partition, live and by the log. Hashes are named by their keys without the epoch's prefix.

    Args:
        keeping: of the live counters: what has ended is not read.
        sound_ms: what begins before is not read; None: everything is.
    """

    def __init__(self, run: ShadowRun, shadow: Shadow, keeping: Keeping, sound_ms: int | None) -> None:
        self.run = run
        self.shadow = shadow
        self.keeping = keeping
        self._sound_ms = sound_ms
        tag = run.tags[shadow.partition]
        self.live_prefix = epoch_prefix(tag, shadow.live_epoch)
        self.log_prefix = epoch_prefix(tag, shadow.epoch)
        self._shadow_state = shadow_key(tag)
        self.strangers = Strangers(shadow.partition)

    async def names(self) -> set[str]:
        """Return what there is on any side, but for strangers."""
        prefixes = {self.shadow.live_epoch: self.live_prefix, self.shadow.epoch: self.log_prefix}
        keys = await self.run.keys.of(self.shadow.partition)
        return self.strangers.known_names(
            key.removeprefix(prefix) for epoch, prefix in prefixes.items() for key in keys.get(epoch, ())
        )

    async def read(self, names: Sequence[str]) -> AsyncIterator[tuple[str, Pair]]:
        """Yield each hash with what can be compared of it, some of them in one step."""
        start, size = 0, FIRST_BATCH
        while start < len(names):
            # Looked at now and not before: what is about to end may be gone on one side.
            batch = list(filter(self.is_kept, names[start : start + size]))
            pairs, _ = await self.pairs(batch)
            for name, pair in zip(batch, pairs, strict=True):
                yield name, pair
            start += size
            weight = sum(map(_weight, pairs)) / max(1, len(batch))
            size = max(1, min(int(READ_FIELDS / (weight + 1)), 4 * size, HASHES_MAX // 2))

    async def pairs(self, names: Sequence[str]) -> tuple[list[Pair], tuple[PartitionState, PartitionState]]:
        """Return what can be compared of hashes, and the states, live and by the log.

        Raises:
            Refused: another run took over, or the live counters were replaced or went back.
        """
        at = self.shadow.partition
        live_keys = [self.live_prefix + name for name in names]
        log_keys = [self.log_prefix + name for name in names]
        request = ReadRequest(whole=[*live_keys, *log_keys, self._shadow_state])
        read = await self.run.retrying(lambda: self.run.live.read(at, request))
        live, log = read.state, read_state(read.whole[-1])
        if live is None or log is None or log.epoch != self.shadow.epoch:
            raise taken_over(at)
        lives, logs = read.whole[: len(names)], read.whole[len(names) : -1]
        if await self.shadow.follow(live) != log.applied_offset:
            store = self.shadow.store
            again = await self.run.retrying(lambda: store.read(at, ReadRequest(whole=log_keys)))
            log, logs = again.state, again.whole
            if log is None or log.applied_offset != live.applied_offset:
                raise taken_over(at)
        pairs = [
            (
                sound_fields(name, self.strangers.known_fields(name, mine), self._sound_ms),
                sound_fields(name, theirs, self._sound_ms),
            )
            for name, mine, theirs in zip(names, lives, logs, strict=True)
        ]
        return pairs, (live, log)

    async def large_indexes(self, names: Iterable[str]) -> set[str]:
        """Return the user indexes that are too large to be read in one call, on either side."""
        large: set[str] = set()
        ordered = list(names)
        for start in range(0, len(ordered), INDEXES_AT_ONCE):
            some = ordered[start : start + INDEXES_AT_ONCE]
            keys = [prefix + name for name in some for prefix in (self.live_prefix, self.log_prefix)]
            counts = await self._live_fields([(key, COUNT_FIELD) for key in keys])
            large |= {
                name
                for number, name in enumerate(some)
                if any(_number(count) > INDEX_WHOLE_MAX for count in counts[2 * number : 2 * number + 2])
            }
        return large

    async def index(self, name: str) -> Pair:
        """Return a user index of both sides, read in slices; the log's as of its frame, the live one with all of that.

        An index only grows, and a user keeps the ordinal. So whoever stands in the live one before the shadow follows
        must be in the shadow's; and who is in the shadow's alone came to the live one behind the slice, and is asked
        for by name.
        """
        live = await self._in_slices(self.live_prefix + name)
        await self.shadow.follow(await self.run.state(self.shadow.partition))
        log = await self._in_slices(self.log_prefix + name)
        late = [COUNT_FIELD, *(log.keys() - live.keys())]
        for start in range(0, len(late), READ_FIELDS):
            some = late[start : start + READ_FIELDS]
            values = await self._live_fields([(self.live_prefix + name, field) for field in some])
            live |= {field: value for field, value in zip(some, values, strict=True) if value is not None}
        return self.strangers.known_fields(name, live), log

    async def _in_slices(self, key: str) -> dict[bytes, bytes]:
        run = self.run
        cursor, found = await run.call(lambda: run.shadows.page_of_hash(key, 0))
        while cursor:
            at = cursor
            cursor, fields = await run.call(lambda at=at: run.shadows.page_of_hash(key, at))  # type: ignore[misc]
            found |= fields
        return found

    async def _live_fields(self, asked: Sequence[tuple[str, bytes]]) -> Sequence[bytes | None]:
        """Return fields of hashes while the epoch is live that was when this began."""
        request = ReadRequest(fields=[(key, field) for key, field in asked])
        read = await self.run.retrying(lambda: self.run.live.read(self.shadow.partition, request))
        if read.state is None or read.state.epoch != self.shadow.live_epoch:
            raise taken_over(self.shadow.partition)
        return read.fields

    def is_kept(self, name: str) -> bool:
        """Return whether a hash neither has ended nor is about to."""
        end_s = self.end_s(name)
        return not end_s or end_s > now_ms() // 1000 + SOON_S

    def end_s(self, name: str) -> int:
        """Return the UNIX second at which a hash of windows ends; 0: never, as anything else."""
        kind, _, rest = name.partition(":")
        if kind == "l":
            return expiry_s(Window.HOUR, [int(rest.rpartition("/")[2])], self.keeping.hours_s)[0]
        key = read_key(name)
        if key is None:
            return 0
        window = WINDOW_OF[key.kind]
        keep_s = self.keeping.hours_s if window is Window.HOUR else self.keeping.days_s
        return expiry_s(window, [key.period], keep_s)[0]


def _number(count: bytes | None) -> int:
    return int(count) if count is not None and count.isdigit() else 0


def _weight(pair: Pair) -> int:
    return sum(1 + len(value) // VALUE_BYTES for side in pair for value in side.values())
