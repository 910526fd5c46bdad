"""Which dead letters are meant: by reason, organization, time, and whether they were replayed. Pure."""

from dataclasses import dataclass

from services.dead_letter_content import organization
from services.dead_letter_log import DeadLetter
from services.durations import parse_duration
from services.event_rules import WrongTime, read_time_ms


@dataclass(frozen=True, slots=True, kw_only=True)
class LetterFilter:
    """What a letter must be like; None and empty: anything.

    Attributes:
        since_ms, until_ms: half-open, of when it was refused.
    """

    reasons: frozenset[str] = frozenset()
    organization: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None

    @property
    def is_open(self) -> bool:
        """Whether it lets every letter pass."""
        return self == LetterFilter()

    def takes(self, letter: DeadLetter) -> bool:
        if self.reasons and letter.reason not in self.reasons:
            return False
        if self.since_ms is not None and letter.rejected_at_ms < self.since_ms:
            return False
        if self.until_ms is not None and letter.rejected_at_ms >= self.until_ms:
            return False
        return self.organization is None or organization(letter.value, letter.headers) == self.organization


def read_moment(text: str, now_ms: int) -> int:
    """Return the moment that a text names: RFC 3339, or a duration back from now such as `2h`.

    Raises:
        ValueError: it names none.
    """
    try:
        return read_time_ms(text)
    except WrongTime as error:
        wrong = error
    try:
        seconds = parse_duration(text)
    except ValueError:
        seconds = None
    if isinstance(seconds, float):
        return now_ms - round(seconds * 1000)
    raise ValueError(f"{text!r} is no moment ({wrong}); give one such as 2026-08-22T08:00:00Z, or how long ago: 2h, 7d")
