"""An epoch that is made beside the live one, and what the log that it is made from can say."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from aggregator.log_probe import LogProbe
from aggregator.shadow_fold import ShadowFold
from aggregator.shadow_store import ShadowStore
from services.counters import PartitionState
from services.dedup_index import COPY_MS
from services.identifiers import Epoch, FrameOffset, PartitionId
from services.lifecycle import Refused
from services.windows import rfc3339

MAX_MS: Final = 1 << 62
"""Nothing begins then."""

_LOG_REFUSED: Final = (
    "{}. The log cannot say whether the counters are right: restore it, or `tidemark rebuild --trust-log` replaces them"
    " by what it holds"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowLog:
    """One partition's log: its first offset and its end, what is sound in it, whether the counters are another's."""

    first: FrameOffset
    end: int
    sound_ms: int | None
    diverged: bool


async def look_at_log(
    probe: LogProbe, partition: PartitionId, state: PartitionState, *, max_ahead_s: float, trust_log: bool
) -> ShadowLog:
    """Return what the log holds, and from when on windows are its alone.

    Whatever stood in earlier frames was read before the first one was written: its `time` lies at most
    `events.max_ahead` behind that, and copies of it at most another day.
    """
    begin, end = (await probe.bounds([partition]))[partition]
    diverged = False
    try:
        await probe.check(partition, state, (begin, end))
    except Refused as refusal:
        if not trust_log:
            raise Refused(_LOG_REFUSED.format(str(refusal).partition(". ")[0])) from refusal
        diverged = True
    sound_ms = MAX_MS if begin else None
    if 0 < begin < end and (first := await probe.record(partition, FrameOffset(begin))) is not None:
        sound_ms = first.timestamp + COPY_MS + round(max_ahead_s * 1000)
    return ShadowLog(first=FrameOffset(begin), end=end, sound_ms=sound_ms, diverged=diverged)


@dataclass(slots=True, kw_only=True)
class Shadow:
    """One partition's shadow.

    Attributes:
        live_epoch: of what it is beside, or replaced.
        stuck: the live state, where that cannot go on with the log.
        first: offset of the frame that it begins with.
        sound_ms: what begins before is not decided by its frames alone; None where they are all.
        comes: told how many frames more are to be folded.
        is_live: it was swapped in.
    """

    partition: PartitionId
    live_epoch: Epoch
    stuck: PartitionState | None
    epoch: Epoch
    first: FrameOffset
    sound_ms: int | None
    store: ShadowStore
    fold: ShadowFold
    comes: Callable[[int], object]
    is_live: bool = False

    def what_is_unsound(self) -> str:
        """Return what a log that begins late says nothing of, as a sentence."""
        since = "any time" if self.sound_ms in (None, MAX_MS) else rfc3339(self.sound_ms or 0)
        return (
            f"partition {self.partition}: its log begins at offset {self.first}, which tells nothing of windows and"
            f" ledger hours that begin before {since}, nor of the identities of 7 days that do, user indexes, positions"
            " and the directory"
        )

    async def follow(self, live: PartitionState) -> FrameOffset:
        """Fold up to where the live counters stand.

        Raises:
            Refused: these were replaced or rolled back meanwhile.
        """
        reached = self.fold.reached.applied_offset
        if live.epoch != self.live_epoch or live.applied_offset < reached:
            raise Refused(
                f"the live counters of partition {self.partition} were replaced or went back to an older state"
                " meanwhile: run it again"
            )
        if live.applied_offset > reached:
            self.comes(live.applied_offset - reached)
            await self.fold.fold_to(live.applied_offset)
        return live.applied_offset
