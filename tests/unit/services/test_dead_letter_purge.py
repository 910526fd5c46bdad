"""How far the dead letters may go: never an unreplayed one unasked, and never a note before its letter."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.dead_letter_log import DeadLetter, Note
from services.dead_letter_purge import Cut, Purge, PurgeRules
from services.replays import LetterId, ReplayNote, Replays
from tests.support.dead_letters import letter

pytestmark = pytest.mark.unit

Log = list[DeadLetter | Note]


def note(offset: int, *of: int, partition: int = 0) -> Note:
    said = ReplayNote(offsets=of, at_ms=5, edited=False, run="r")
    return Note(partition=partition, offset=offset, note=said)


def at(offset: int, rejected_at_ms: int = 100, partition: int = 0) -> DeadLetter:
    return letter(partition=partition, offset=offset, rejected_at_ms=rejected_at_ms)


def purge(log: Log, rules: PurgeRules) -> Purge:
    replays = Replays()
    for each in log:
        if isinstance(each, Note) and each.note is not None:
            replays.add(each.partition, each.note)
    found = Purge(rules, replays)
    for each in log:
        found.look(each)
    return found


def cut_of(log: Log, rules: PurgeRules) -> Cut:
    return purge(log, rules).cuts[0]


def test_replayed_letters_go_with_their_notes_up_to_the_first_that_was_never_replayed() -> None:
    log: Log = [at(3), at(4), note(5, 3, 4), at(6), at(7), note(8, 7)]
    cut = cut_of(log, PurgeRules())
    assert (cut.before, cut.letters, cut.unreplayed, cut.kept_unreplayed, cut.kept_replayed) == (6, 2, 0, 1, 1)
    everything = cut_of(log, PurgeRules(unreplayed_too=True))
    assert (everything.before, everything.letters, everything.unreplayed) == (9, 4, 1)


def test_nothing_goes_from_the_given_time_on_also_where_clocks_disagree() -> None:
    log: Log = [at(0, 10), at(1, 20), at(2, 15), note(3, 0, 1, 2)]
    cut = cut_of(log, PurgeRules(before_ms=20))
    assert (cut.before, cut.letters, cut.kept_replayed, cut.kept_unreplayed) == (1, 1, 1, 0)


def test_up_to_a_letter_concerns_its_partition_alone() -> None:
    log: Log = [at(0), at(1), at(0, partition=1), note(2, 0, 1), note(1, 0, partition=1)]
    assert purge(log, PurgeRules(up_to=LetterId(0, 0))).offsets == {0: 1}


def test_notes_whose_letters_are_gone_go_only_with_everything() -> None:
    assert purge([note(7, 1)], PurgeRules()).offsets == {0: 8}
    assert purge([note(7, 1)], PurgeRules(before_ms=10**15)).offsets == {}


@st.composite
def logs(draw: st.DrawFn) -> Log:
    log: Log = []
    open_letters: list[int] = []
    for offset in range(draw(st.integers(0, 12))):
        if draw(st.booleans()) and open_letters:
            marked = draw(st.lists(st.sampled_from(open_letters), min_size=1, unique=True))
            log.append(note(offset, *marked))
        else:
            log.append(at(offset, draw(st.integers(0, 3))))
            open_letters.append(offset)
    return log


@given(logs(), st.none() | st.integers(0, 4))
def test_no_purge_loses_an_unreplayed_letter_or_the_note_of_one_that_stays(log: Log, before_ms: int | None) -> None:
    found = purge(log, PurgeRules(before_ms=before_ms))
    before = found.offsets.get(0, 0)
    for each in log:
        if isinstance(each, DeadLetter) and each.offset < before:
            assert found.replays.of(each.id) is not None
            assert before_ms is None or each.rejected_at_ms < before_ms
        elif isinstance(each, Note) and each.offset < before:
            assert each.note is not None
            assert all(offset < before for offset in each.note.offsets)
    letters = [each for each in log if isinstance(each, DeadLetter)]
    assert found.total("letters") == sum(each.offset < before for each in letters)
