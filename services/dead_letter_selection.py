"""Reads the dead letters that a call of `replay` means, and says of each what becomes of it."""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass

from services.clock import now_ms
from services.dead_letter_edits import BadLine, Edit, EditRules, correct
from services.dead_letter_fate import Judge, Outgoing, ReplayRules, Skipped, Why, fate
from services.dead_letter_filter import LetterFilter
from services.dead_letter_log import Progress, read_dead_letters, read_replays
from services.replays import LetterId
from services.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Letters by their ids, or by what they are like."""

    ids: frozenset[LetterId] | None = None
    like: LetterFilter


async def fates(
    settings: Settings, selection: Selection, rules: ReplayRules, judge: Judge, progress: Progress
) -> AsyncIterator[Outgoing | Skipped]:
    """Yield what becomes of each letter that is there at the call; what comes back of these is not read.

    Raises:
        KafkaUnavailable, KafkaRefused: the topic cannot be read.
    """
    begin = None if selection.ids is None else first_offsets(selection.ids)
    replays = await read_replays(settings, begin=begin)
    missing = set(selection.ids or ())
    async for letter in read_dead_letters(settings, begin=begin, progress=progress):
        if selection.ids is not None and letter.id not in selection.ids:
            continue
        missing.discard(letter.id)
        if selection.like.takes(letter):
            yield fate(letter, replays.of(letter.id), rules, judge, now_ms())
    for each in sorted(missing):
        yield Skipped(letter=each, why=Why.NO_LETTER)


async def corrections(
    settings: Settings, edits: Sequence[Edit], rules: EditRules, judge: Judge, progress: Progress
) -> list[Outgoing | Skipped | BadLine]:
    """Return what becomes of each line, in their order; nothing is sent.

    Raises:
        KafkaUnavailable, KafkaRefused: the topic cannot be read.
    """
    begin = first_offsets(edit.letter for edit in edits)
    replays = await read_replays(settings, begin=begin)
    waiting = {edit.letter: edit for edit in edits}
    outcomes = [
        (edit.line, correct(edit, letter, replays.of(letter.id), rules, judge, now_ms()))
        async for letter in read_dead_letters(settings, begin=begin, progress=progress)
        if (edit := waiting.pop(letter.id, None)) is not None
    ]
    outcomes += [(edit.line, correct(edit, None, None, rules, judge, now_ms())) for edit in waiting.values()]
    return [outcome for _, outcome in sorted(outcomes, key=lambda each: each[0])]


def first_offsets(letters: Iterable[LetterId]) -> Mapping[int, int]:
    """Return partition -> offset of the first of these letters in it."""
    first: dict[int, int] = {}
    for letter in letters:
        first[letter.partition] = min(letter.offset, first.get(letter.partition, letter.offset))
    return first
