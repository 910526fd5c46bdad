"""How far the answer to "where is my event?" reaches."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(slots=True, kw_only=True)
class Reach:
    """How far the answer reaches.

    Attributes:
        partition: of the frames.
        begin, begin_ms: of the frames' log, its first offset and that frame's time; None when it holds none.
        read_from, read_from_ms: where reading the frames began.
        end: of the frames' log, or where reading was cut off.
        events: source partition of usage.events -> first offset kept, and its record's time.
        since_ms: what was asked for.
        dedup_s: how long an identity is kept after the last write to its set; None for ever.
        unreadable, unreadable_count, foreign, left_out: see `services.frame_search`.
        cut_off: what could not be read to its end because the time was over.
    """

    partition: int
    begin: int = 0
    begin_ms: int | None = None
    read_from: int = 0
    read_from_ms: int | None = None
    end: int = 0
    events: Mapping[int, tuple[int, int | None]] = field(default_factory=dict)
    since_ms: int | None = None
    dedup_s: float | None = None
    unreadable: Sequence[int] = ()
    unreadable_count: int = 0
    foreign: int = 0
    left_out: int = 0
    cut_off: list[str] = field(default_factory=list)
