"""Reads one partition's live counters and its shadow, batch by batch, always at one applied offset.

Each batch is read of both in one step, with both states. Where the live ones have moved on, the shadow is folded to
exactly that frame and read again: nobody else writes to it, so that it stands still there.
"""

from collections.abc import AsyncIterator, Sequence
from typing import Final

from aggregator.branch import Keeping
from aggregator.cells import expiry_s
from aggregator.comparing import WINDOW_OF, Fields, read_key, sound_fields
from aggregator.shadow import Shadow
from aggregator.shadow_run import ShadowRun
from aggregator.shadow_store import taken_over
from services.clock import now_ms
from services.counters import PartitionState, ReadRequest
from services.keyspace import epoch_prefix, shadow_key
from services.partition_state import read_state
from services.windows import Window

READ_FIELDS: Final = 20_000
"""Fields that one script call reads (design.md, invariant 10); the size of a batch follows the last one's."""

HASHES_MAX: Final = 160
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

    async def names(self) -> set[str]:
        """Return what there is on any side."""
        prefixes = {self.shadow.live_epoch: self.live_prefix, self.shadow.epoch: self.log_prefix}
        keys = await self.run.keys.of(self.shadow.partition)
        return {key.removeprefix(prefix) for epoch, prefix in prefixes.items() for key in keys.get(epoch, ())}

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
            (sound_fields(name, mine, self._sound_ms), sound_fields(name, theirs, self._sound_ms))
            for name, mine, theirs in zip(names, lives, logs, strict=True)
        ]
        return pairs, (live, log)

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


def _weight(pair: Pair) -> int:
    return sum(1 + len(value) // VALUE_BYTES for side in pair for value in side.values())
