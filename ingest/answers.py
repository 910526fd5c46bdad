"""When the broker answered about a source: the time up to which a source that is read to its end is read. Pure.

An answer says where the log ended at some moment between the answer before it, after which it was asked for, and its
own arrival. A process that was stopped, or whose network stood still, takes an old answer for a young one: so the
answer before it bounds what may be claimed.
"""

from typing import Generic, TypeVar

Source = TypeVar("Source")


class Answers(Generic[Source]):
    """The last two answers about each source.

    Args:
        skew_ms: taken off the clock. Half of it is for the broker's clock being ahead of ours, half for the time
            between two answers.
    """

    def __init__(self, skew_ms: int) -> None:
        self._skew_ms = skew_ms
        self._last: dict[Source, int] = {}
        self._before: dict[Source, int] = {}

    def covered_ms(self, source: Source, answered_ms: int, now_ms: int) -> int | None:
        """Take in the time of the newest answer, and return the broker time before which its log end covers all.

        None until a second answer has come.
        """
        last = self._last.get(source)
        if last is not None and last != answered_ms:
            self._before[source] = last
        self._last[source] = answered_ms
        before = self._before.get(source)
        if before is None:
            return None
        return min(answered_ms, before + self._skew_ms // 2, now_ms) - self._skew_ms
