"""Looks for one event among the dead letters, letter after letter. Pure."""

from collections.abc import Callable
from typing import Final

from services.dead_letter_log import DeadLetter
from services.dead_letters import Reason
from services.event_identity import EventIdentity, Match
from services.frame_search import FrameEvent, FrameSearch
from services.settings import TopicSettings
from services.trace import LetterFound

FOUND_MAX: Final = 1_000
"""Letters kept of one event; more are not of interest."""


class LetterSearch:
    """What was found so far.

    Args:
        partition: of the frames, in which the event's would lie.
        new_search: begins a search for the event in frames.

    Attributes:
        found: letters that are the event, in the order in which they were looked at.
        skipped: offsets of the partition's frames that an operator gave up.
    """

    def __init__(
        self, event: EventIdentity, topics: TopicSettings, partition: int, new_search: Callable[[], FrameSearch]
    ) -> None:
        self._event = event
        self._topics = topics
        self._partition = partition
        self._new_search = new_search
        self.found: list[LetterFound] = []
        self.skipped: set[int] = set()
        self._in_skipped: dict[int, list[FrameEvent]] = {}

    def look(self, letter: DeadLetter) -> None:
        """Look at the next letter."""
        origin = letter.origin
        if origin is None:
            return
        if origin.reason == Reason.SKIPPED_FRAME:
            if (origin.topic, origin.partition) == (self._topics.frames, self._partition):
                self._look_into_frame(origin.offset, letter)
            return
        # A directory event may have the same three attributes and is another thing.
        if origin.topic != self._topics.events or len(self.found) >= FOUND_MAX:
            return
        match = self._event.match(letter.value, letter.headers)
        if match is not Match.NO:
            self.found.append(
                LetterFound(
                    topic=origin.topic,
                    partition=origin.partition,
                    offset=origin.offset,
                    reason=origin.reason,
                    field=origin.field,
                    rejected_at_ms=letter.rejected_at_ms,
                    letter_partition=letter.partition,
                    letter_offset=letter.offset,
                    exact=match is Match.EXACT,
                )
            )

    def in_frames_before(self, offset: int) -> list[FrameEvent]:
        """Return the event's occurrences in skipped frames that lie before an offset of the log."""
        return [event for at, found in sorted(self._in_skipped.items()) if at < offset for event in found]

    def _look_into_frame(self, offset: int, letter: DeadLetter) -> None:
        search = self._new_search()
        search.look(offset, letter.timestamp_ms, letter.value)
        self.skipped.add(offset)
        self._in_skipped[offset] = search.found
