"""The oracle: what was acknowledged to the publisher against the counters, the dead letters and the ledger."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from services.counter_codec import unpack
from services.counters import ReadRequest
from services.dead_letter_log import DeadLetter, read_dead_letters
from services.identifiers import PartitionId
from services.keyspace import epoch_prefix, tags
from services.ledger import ENTRIES
from services.settings import Settings
from services.stores import open_store
from tests.faults.publisher import Published
from tests.support.comparison import Comparison, compare
from tests.support.deployment import Deployment
from tests.support.oracle import HOUR_MS, Limits, Oracle, read_event

Row = dict[str, int]
"""One row of the ledger, by the names of `services.ledger.ENTRIES`."""


@dataclass(slots=True)
class Verdict:
    """What was compared, and every difference found; none when all of it is right."""

    events: int
    cells: Comparison
    redelivered: int = 0
    differences: list[str] = field(default_factory=list)

    @property
    def right(self) -> bool:
        return self.cells.equal and not self.differences

    def __str__(self) -> str:
        return "\n".join([f"{self.events} events", str(self.cells), *self.differences])


def judge(deployment: Deployment, published: Sequence[Published]) -> Verdict:
    """Compare a deployment that is caught up with what was published; nothing else may write to it."""
    limits = _limits(deployment.settings)
    oracle = Oracle()
    for record in published:
        oracle.add(record.value, record.broker_ms, limits)
    verdict = Verdict(events=len(published), cells=compare(deployment.export(), oracle.rows()))
    bad = [record for record in published if read_event(record.value, record.broker_ms, limits) is None]
    _judge_dead_letters(verdict, bad, asyncio.run(_dead_letters(deployment.settings)))
    _judge_ledger(verdict, published, bad, oracle, asyncio.run(_ledger(deployment.settings)))
    return verdict


def assert_right(deployment: Deployment, published: Sequence[Published], *, seconds: float = 60) -> Verdict:
    """Wait until everything is applied and fail with every difference."""
    deployment.catch_up(seconds)
    verdict = judge(deployment, published)
    assert verdict.right, f"{verdict}\n{deployment.logs()}"
    return verdict


def _limits(settings: Settings) -> Limits:
    events = settings.events
    return Limits(
        max_age_ms=None if events.max_age is None else round(events.max_age * 1000),
        max_ahead_ms=round(events.max_ahead * 1000),
        max_bytes=events.max_bytes,
    )


def _judge_dead_letters(verdict: Verdict, bad: Sequence[Published], found: Sequence[DeadLetter]) -> None:
    expected = {(record.partition, record.offset): record for record in bad}
    seen = set()
    for letter in found:
        if letter.origin is None:
            verdict.differences.append(f"dead letter {letter.partition}/{letter.offset} says not where it is from")
            continue
        at = (letter.origin.partition, letter.origin.offset)
        record = expected.get(at)
        if record is None:
            verdict.differences.append(f"dead letter of {at}, which was a good event or none: {letter.reason}")
        elif (letter.value, letter.key, letter.headers) != (record.value, record.key, record.headers):
            verdict.differences.append(f"dead letter of {at} is not the record that was published")
        seen.add(at)
    verdict.differences += [f"no dead letter of {at}" for at in sorted(expected.keys() - seen)]


def _judge_ledger(
    verdict: Verdict,
    published: Sequence[Published],
    bad: Sequence[Published],
    oracle: Oracle,
    ledger: dict[tuple[int, int], Row],
) -> None:
    received = Counter((record.partition, record.broker_ms // HOUR_MS) for record in published)
    refused = Counter((record.partition, record.broker_ms // HOUR_MS) for record in bad)
    for at in sorted(received.keys() | ledger.keys()):
        row = ledger.get(at, dict.fromkeys(ENTRIES, 0))
        explained = row["counted"] + row["duplicate"] + row["dead_lettered"]
        if not row["received"] == explained == received[at] or row["dead_lettered"] != refused[at]:
            verdict.differences.append(
                f"ledger of partition {at[0]}, hour {at[1]}: {row}; published {received[at]}, bad {refused[at]}"
            )
    totals = Counter[str]()
    for row in ledger.values():
        totals.update(row)
    if (totals["counted"], totals["duplicate"]) != (oracle.good, oracle.copies):
        verdict.differences.append(f"ledger counts {dict(totals)}; {oracle.good} are good, {oracle.copies} copies")
    verdict.redelivered = totals["redelivered"]


async def _dead_letters(settings: Settings) -> list[DeadLetter]:
    return [letter async for letter in read_dead_letters(settings)]


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
