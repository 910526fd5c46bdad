"""The oracle: what was acknowledged to the publisher against the counters, the dead letters and the ledger."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from services.counter_codec import unpack
from services.counters import ReadRequest
from services.dead_letter_log import DeadLetter, read_dead_letters
from services.dead_letters import Reason
from services.identifiers import PartitionId
from services.keyspace import epoch_prefix, tags
from services.ledger import ENTRIES
from services.settings import Settings
from services.stores import open_store
from tests.faults.publisher import Published
from tests.support.comparison import Comparison, compare
from tests.support.deployment import Deployment
from tests.support.oracle import HOUR_MS, Event, Limits, Oracle

Row = dict[str, int]
"""One row of the ledger, by the names of `services.ledger.ENTRIES`."""


@dataclass(slots=True)
class Verdict:
    """What was compared, and every difference found; none when all of it is right."""

    events: int
    cells: Comparison
    dead_letters: int = 0
    redelivered: int = 0
    differences: list[str] = field(default_factory=list)

    @property
    def right(self) -> bool:
        return self.cells.equal and not self.differences

    def __str__(self) -> str:
        return "\n".join([f"{self.events} events", str(self.cells), *self.differences])


class Judge:
    """Takes what was acknowledged, in the order in which it was sent, and holds what was counted against it.

    It keeps of each record no more than the oracle needs to know a copy of it.
    """

    def __init__(self, limits: Limits) -> None:
        self.oracle = Oracle()
        self._limits = limits
        self._records = 0
        self._bad: dict[tuple[int, int], bytes] = {}
        self._kept: set[tuple[int, int]] = set()
        self._received = Counter[tuple[int, int]]()
        self._refused = Counter[tuple[int, int]]()
        self._differences: list[str] = []

    def add(self, record: Published) -> Event | None:
        """Count one acknowledged record; return the event if it changes the counters."""
        self._records += 1
        bad = self.oracle.bad
        event = self.oracle.add(record.value, record.broker_ms, self._limits)
        at = (record.partition, record.broker_ms // HOUR_MS)
        self._received[at] += 1
        if self.oracle.bad > bad:
            self._refused[at] += 1
            self._bad[record.partition, record.offset] = _digest(record)
        return event

    def take(self, letter: DeadLetter) -> None:
        """Compare one dead letter with the record that it was."""
        if letter.origin is None:
            self._differences.append(f"dead letter {letter.partition}/{letter.offset} says not where it is from")
            return
        at = (letter.origin.partition, letter.origin.offset)
        expected = self._bad.get(at)
        if expected is None:
            self._differences.append(f"dead letter of {at}, which was a good event or none: {letter.reason}")
        elif _digest(letter) != expected:
            self._differences.append(f"dead letter of {at} is not the record that was published")
        self._kept.add(at)

    def verdict(self, rows: Iterable[dict[str, Any]], ledger: Mapping[tuple[int, int], Row]) -> Verdict:
        """Compare the cells and the ledger, by (partition, hour); call it once, when all dead letters are taken."""
        verdict = Verdict(events=self._records, cells=compare(rows, self.oracle.rows()), dead_letters=len(self._bad))
        verdict.differences += self._differences
        verdict.differences += [f"no dead letter of {at}" for at in sorted(self._bad.keys() - self._kept)]
        self._judge_ledger(verdict, ledger)
        return verdict

    def _judge_ledger(self, verdict: Verdict, ledger: Mapping[tuple[int, int], Row]) -> None:
        for at in sorted(self._received.keys() | ledger.keys()):
            row = ledger.get(at, dict.fromkeys(ENTRIES, 0))
            received, refused = self._received[at], self._refused[at]
            explained = row["counted"] + row["duplicate"] + row["dead_lettered"]
            if not row["received"] == explained == received or row["dead_lettered"] != refused:
                verdict.differences.append(
                    f"ledger of partition {at[0]}, hour {at[1]}: {row}; published {received}, bad {refused}"
                )
        totals = Counter[str]()
        for row in ledger.values():
            totals.update(row)
        good, copies = self.oracle.good, self.oracle.copies
        if (totals["counted"], totals["duplicate"]) != (good, copies):
            verdict.differences.append(f"ledger counts {dict(totals)}; {good} are good, {copies} copies")
        verdict.redelivered = totals["redelivered"]


def judge(deployment: Deployment, published: Iterable[Published]) -> Verdict:
    """Compare a deployment that is caught up with what was published; nothing else may write to it."""
    judging = Judge(limits_of(deployment.settings))
    for record in published:
        judging.add(record)
    return compare_all(deployment, judging)


def compare_all(deployment: Deployment, judging: Judge) -> Verdict:
    """Hold the counters, the dead letters and the ledger of a deployment against what the judge was given."""
    asyncio.run(_take_dead_letters(deployment.settings, judging))
    return judging.verdict(deployment.export(), asyncio.run(_ledger(deployment.settings)))


def assert_right(deployment: Deployment, published: Sequence[Published], *, seconds: float = 120) -> Verdict:
    """Wait until everything is applied and fail with every difference."""
    deployment.catch_up(seconds)
    verdict = judge(deployment, published)
    assert verdict.right, f"{verdict}\n{deployment.logs()}"
    return verdict


def limits_of(settings: Settings) -> Limits:
    events = settings.events
    return Limits(
        max_age_ms=None if events.max_age is None else round(events.max_age * 1000),
        max_ahead_ms=round(events.max_ahead * 1000),
        max_bytes=events.max_bytes,
    )


def _digest(record: Published | DeadLetter) -> bytes:
    return sha256(repr((record.value, record.key, tuple(record.headers))).encode()).digest()


async def _take_dead_letters(settings: Settings, judging: Judge) -> None:
    """Take those of ingest: a skipped frame is the affair of the test that skips one."""
    async for letter in read_dead_letters(settings):
        if letter.reason != Reason.SKIPPED_FRAME:
            judging.take(letter)


async def _ledger(settings: Settings) -> dict[tuple[int, int], Row]:
    """Return (partition, hour) of `usage.events` -> row, summed over all slots."""
    partitions = settings.topics.frames_partitions
    found: dict[tuple[int, int], Row] = {}
    async with open_store(settings) as store:
        for number in range(partitions):
            partition = PartitionId(number)
            state = await store.state(partition)
            if state is None:
                continue
            prefix = f"{epoch_prefix(tags(partitions)[partition], state.epoch)}l:"
            keys = [key async for key in store.keys(partition) if key.startswith(prefix)]
            read = await store.read(partition, ReadRequest(whole=keys))
            for key, hours in zip(keys, read.whole, strict=True):
                topic, source, day = key.removeprefix(prefix).rsplit("/", 2)
                if topic == settings.topics.events:
                    _add(found, int(source), int(day), hours)
    return found


def _add(found: dict[tuple[int, int], Row], source: int, day: int, hours: Mapping[bytes, bytes]) -> None:
    for hour, numbers in zip(hours, unpack(list(hours.values())).tolist(), strict=True):
        row = found.setdefault((source, day * 24 + int(hour)), dict.fromkeys(ENTRIES, 0))
        for name, number in zip(ENTRIES, numbers, strict=False):
            row[name] += number
