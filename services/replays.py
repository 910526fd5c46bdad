"""What says that a dead letter was published again: headers on the record sent, and a note in the dead-letter topic.

The note lies in its letter's own partition, after it. Kafka deletes from a partition's beginning only, by age or by
order, so a note never goes before its letter (ADR 0021). Pure.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import msgspec

from services.dead_letters import HEADER_PREFIX, own_headers, read_dead_letter_headers

REPLAYED: Final = "tidemark-replayed"
"""On a record that was published again: the letter it comes from; before it, where that is another, the first one."""

RUN: Final = "tidemark-replay-run"
"""On such a record: which call of `replay` sent it."""

NOTE: Final = "tidemark-note"
NOTE_OF_REPLAY: Final = b"replayed"

_ID: Final = re.compile(r"([0-9]{1,9}):([0-9]{1,18})")

Headers = Sequence[tuple[str, bytes]]


class LetterId(NamedTuple):
    """Where a dead letter stands in its topic; written `PARTITION:OFFSET`."""

    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.partition}:{self.offset}"


def read_letter_id(text: str) -> LetterId | None:
    """Return the id that a text is, None when it is none."""
    found = _ID.fullmatch(text)
    return None if found is None else LetterId(int(found[1]), int(found[2]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Descent:
    """Where a record that was published again comes from: the letter before it, and the first one of all."""

    first: LetterId
    last: LetterId
    run: str | None


def read_descent(headers: Headers) -> Descent | None:
    """Return what the headers of a record, or of its dead letter, say; None when it was not published again."""
    ids = [found for text in own_headers(headers, REPLAYED) if (found := read_letter_id(text)) is not None]
    if not ids:
        return None
    return Descent(first=ids[0], last=ids[-1], run=next(reversed(own_headers(headers, RUN)), None))


def replay_headers(original: Headers, letter: LetterId, descent: Descent | None, run: str) -> list[tuple[str, bytes]]:
    """Return the headers of a record that is published again: its own, then ours.

    Args:
        original: its own headers; ours among them are left out.
        letter: the dead letter that it is published from.
        descent: of that letter.
    """
    first = letter if descent is None else descent.first
    ids = [letter] if first == letter else [first, letter]
    own = [(name, value) for name, value in original if not name.startswith(HEADER_PREFIX)]
    return [*own, *((REPLAYED, str(each).encode()) for each in ids), (RUN, run.encode())]


class ReplayNote(msgspec.Struct, frozen=True, kw_only=True):
    """Says that letters of the note's partition were published again.

    Attributes:
        offsets: of the letters.
        at_ms: when.
        edited: whether corrected records were sent in place of the originals.
        run: of the call that did it.
    """

    offsets: tuple[int, ...]
    at_ms: int
    edited: bool
    run: str


_encode: Final = msgspec.json.Encoder().encode
_decoder: Final = msgspec.json.Decoder(ReplayNote)


def notes_of(
    letters: Iterable[LetterId], *, at_ms: int, edited: bool, run: str
) -> Iterator[tuple[int, bytes, list[tuple[str, bytes]]]]:
    """Yield (partition, value, headers) of the notes that mark these letters, one a partition."""
    offsets: dict[int, list[int]] = {}
    for letter in letters:
        offsets.setdefault(letter.partition, []).append(letter.offset)
    for partition, of_partition in sorted(offsets.items()):
        note = ReplayNote(offsets=tuple(sorted(of_partition)), at_ms=at_ms, edited=edited, run=run)
        yield partition, _encode(note), [(NOTE, NOTE_OF_REPLAY)]


def is_note(headers: Headers) -> bool:
    """Whether a record of the dead-letter topic is a note of ours.

    A refused record that came with such a header is none: as a dead letter it says why it was refused, too.
    """
    return any(name == NOTE for name, _ in headers) and read_dead_letter_headers(headers) is None


def read_note(value: bytes | None) -> ReplayNote | None:
    """Return what a note says; None when this release cannot read it."""
    try:
        return _decoder.decode(value or b"")
    except (msgspec.MsgspecError, UnicodeError):
        return None


@dataclass(slots=True)
class Replays:
    """Which letters were published again, and by which note last."""

    _notes: dict[int, dict[int, ReplayNote]] = field(default_factory=dict)

    def add(self, partition: int, note: ReplayNote) -> None:
        self._notes.setdefault(partition, {}).update(dict.fromkeys(note.offsets, note))

    def of(self, letter: LetterId) -> ReplayNote | None:
        """Return the last note on a letter, None when it was not published again."""
        return self._notes.get(letter.partition, {}).get(letter.offset)

    def __len__(self) -> int:
        return sum(map(len, self._notes.values()))
