from collections.abc import Sequence
from dataclasses import replace

import pytest

from services.dead_letter_log import DeadLetter
from services.dead_letters import DeadLetterOrigin
from services.ledger import ENTRIES
from tests.faults.load import seeded_load
from tests.faults.publisher import Published
from tests.faults.verdict import Judge, Row, Verdict
from tests.support.oracle import HOUR_MS, Limits, Oracle

pytestmark = pytest.mark.unit

END_MS = 1_767_225_600_000
BROKER_MS = END_MS + 1_000


def published() -> list[Published]:
    return [
        Published(
            partition=planned.partition,
            offset=offset,
            broker_ms=BROKER_MS,
            value=planned.value,
            key=planned.key,
            headers=tuple(planned.headers),
        )
        for offset, planned in enumerate(seeded_load(3, 1_000, 2, end_ms=END_MS))
    ]


class Counted:
    """What a system would hold that counts these records right."""

    def __init__(self, records: Sequence[Published]) -> None:
        self.oracle = Oracle()
        self.ledger: dict[tuple[int, int], Row] = {}
        self.letters: list[DeadLetter] = []
        for record in records:
            bad = self.oracle.bad
            counted = self.oracle.add(record.value, BROKER_MS) is not None
            refused = self.oracle.bad > bad
            name = "counted" if counted else "dead_lettered" if refused else "duplicate"
            row = self.ledger.setdefault((record.partition, BROKER_MS // HOUR_MS), dict.fromkeys(ENTRIES, 0))
            row["received"] += 1
            row[name] += 1
            if refused:
                self.letters.append(letter(record))


def letter(record: Published) -> DeadLetter:
    origin = DeadLetterOrigin(
        reason="not_json",
        field=None,
        topic="usage.events",
        partition=record.partition,
        offset=record.offset,
        rejected_at_ms=BROKER_MS,
    )
    return DeadLetter(
        partition=0,
        offset=0,
        timestamp_ms=BROKER_MS,
        origin=origin,
        key=record.key,
        value=record.value,
        headers=record.headers,
    )


def verdict(counted: Counted, letters: Sequence[DeadLetter] | None = None) -> Verdict:
    judge = Judge(Limits())
    for record in published():
        judge.add(record)
    for each in counted.letters if letters is None else letters:
        judge.take(each)
    return judge.verdict(counted.oracle.rows(), counted.ledger)


def first_good(records: Sequence[Published]) -> int:
    oracle = Oracle()
    values = [record.value for record in records]
    return next(
        at
        for at, record in enumerate(records)
        if values.count(record.value) == 1 and oracle.add(record.value, BROKER_MS) is not None
    )


def test_what_is_counted_right_is_right() -> None:
    found = verdict(Counted(published()))
    assert found.right, str(found)
    assert found.dead_letters > 1


def test_an_event_withheld_from_the_counters_is_found() -> None:
    records = published()
    whole = Counted(records)
    del records[first_good(records)]
    withheld = Counted(records)
    withheld.ledger = whole.ledger
    found = verdict(withheld)
    assert not found.right
    assert found.cells.differing > 0
    assert not found.differences


def test_an_event_counted_twice_is_found() -> None:
    records = published()
    once = Counted(records)
    record = records[first_good(records)]
    again = replace(record, value=record.value.replace(b'"id":"', b'"id":"again ', 1))
    twice = Counted([*records, again])
    assert twice.oracle.good == once.oracle.good + 1
    twice.ledger = once.ledger
    assert verdict(twice).cells.differing > 0


def test_a_dead_letter_that_is_missing_is_found() -> None:
    counted = Counted(published())
    found = verdict(counted, counted.letters[1:])
    assert found.cells.equal
    (difference,) = found.differences
    assert difference.startswith("no dead letter of")


def test_a_dead_letter_of_a_good_event_is_found() -> None:
    counted = Counted(published())
    good = published()[first_good(published())]
    assert "which was a good event" in str(verdict(counted, [*counted.letters, letter(good)]))


def test_a_dead_letter_that_was_changed_is_found() -> None:
    counted = Counted(published())
    first, *others = counted.letters
    changed = replace(first, headers=(*first.headers, ("more", b"")))
    assert "is not the record that was published" in str(verdict(counted, [changed, *others]))


@pytest.mark.parametrize("entry", ["received", "counted", "duplicate", "dead_lettered"])
def test_a_ledger_that_is_off_by_one_is_found(entry: str) -> None:
    counted = Counted(published())
    next(iter(counted.ledger.values()))[entry] += 1
    found = verdict(counted)
    assert found.cells.equal
    assert any(line.startswith("ledger of partition") for line in found.differences)
