"""Whether the frames that are kept reach back to what a Redis has applied, so that it can be brought forward. Pure."""

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """What becomes of a partition when aggregators are started on this Redis."""

    REACHES = "reaches"
    GONE = "gone"
    OTHER_LOG = "other_log"


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionReach:
    """One partition of the frames beside one partition's state.

    Attributes:
        applied: offset of the last frame applied; None where this Redis holds nothing of the partition.
        first, end: of the log: offset of the first frame kept, and of the next one.
        first_ms, next_ms: broker time of the first frame kept, and of the first one that is not applied; None where
            there is none, or it is gone.
    """

    partition: int
    applied: int | None
    first: int
    end: int
    first_ms: int | None = None
    next_ms: int | None = None

    @property
    def next_offset(self) -> int:
        """Offset of the frame that is applied next: the first of all where nothing is."""
        return 0 if self.applied is None else self.applied + 1

    @property
    def verdict(self) -> Verdict:
        if self.next_offset > self.end:
            return Verdict.OTHER_LOG
        return Verdict.GONE if self.next_offset < self.first else Verdict.REACHES

    @property
    def waiting(self) -> int:
        """How many frames are to be applied, as far as they are kept."""
        return max(0, self.end - max(self.next_offset, self.first))

    def until_ms(self, retention_s: float) -> int | None:
        """Return until when the next frame is kept at least; None where none waits, or it is gone already."""
        return None if self.next_ms is None else self.next_ms + round(retention_s * 1000)

    def sentence(self) -> str:
        """Say what is wrong and what to do; empty where nothing is."""
        match self.verdict:
            case Verdict.REACHES:
                return ""
            case Verdict.GONE:
                held = "holds nothing" if self.applied is None else f"holds frames up to {self.applied}"
                return (
                    f"partition {self.partition}: this Redis {held}, and the log begins at {self.first}: what lies"
                    " between is gone; restore a younger backup"
                )
            case Verdict.OTHER_LOG:
                return (
                    f"partition {self.partition}: this Redis holds frames up to {self.applied}, and the log only up to"
                    f" {self.end - 1}: it is another topic, or it lost its tail; name the deployment's own in"
                    " topics.frames"
                )
