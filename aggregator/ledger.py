"""What a run adds to the ledger. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from aggregator.rows import grouped, joined
from aggregator.run import Run, Source
from services.counter_codec import Matrix, pack, unpack
from services.keyspace import ledger_key
from services.ledger import ENTRIES
from services.metrics_contract import COUNTERS_PER_PRODUCT_MAX
from services.windows import HOURS_PER_DAY

Mask = npt.NDArray[np.bool_]
Place = tuple[str, bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """Additions to the ledger: `rows[i]` is (source, hour of broker time), `numbers[i]` what comes to its entries."""

    rows: Sequence[tuple[Source, int]]
    numbers: Matrix

    def write_groups(self, places: Sequence[Place], old: Sequence[bytes | None]) -> list[list[str | bytes]]:
        values = pack(unpack(old) + self.numbers, len(ENTRIES))
        return [[key, field, value] for (key, field), value in zip(places, values, strict=True)]

    def days(self) -> list[int]:
        return [hour // HOURS_PER_DAY for _, hour in self.rows]


def rows_of(run: Run) -> list[tuple[Source, int]]:
    """Return the ledger rows that a run touches, whatever its events turn out to be."""
    first = grouped(joined([run.source, run.broker_hour])).first
    pairs = zip(run.source[first].tolist(), run.broker_hour[first].tolist(), strict=True)
    rows = {(run.sources[source], hour) for source, hour in pairs}
    rows |= {(change.source, change.hour) for change in run.directory}
    return sorted(rows | {(row.source, row.hour) for row in run.ledger})


def places_of(prefix: str, rows: Sequence[tuple[Source, int]]) -> list[Place]:
    """Return where the rows lie: key and field."""
    return [
        (ledger_key(prefix, topic, partition, hour // HOURS_PER_DAY), str(hour % HOURS_PER_DAY).encode())
        for (topic, partition), hour in rows
    ]


def tally(run: Run, rows: Sequence[tuple[Source, int]], copied: Mask, directory_copied: Mask) -> Tally:
    """Return the additions, once it is known which usage events and which directory events changed nothing."""
    place = {row: at for at, row in enumerate(rows)}
    numbers = np.zeros((len(rows), COUNTERS_PER_PRODUCT_MAX), dtype=np.int64)
    outcome = np.where(copied, np.where(run.redelivered, 3, 2), 1)
    distinct = grouped(joined([run.source, run.broker_hour, outcome]))
    for row, count in zip(distinct.first.tolist(), distinct.counts.tolist(), strict=True):
        ledger_row = place[run.sources[run.source[row]], int(run.broker_hour[row])]
        numbers[ledger_row, outcome[row]] += count
    for change, unchanged in zip(run.directory, directory_copied.tolist(), strict=True):
        numbers[place[change.source, change.hour], 1 if not unchanged else 3 if change.redelivered else 2] += 1
    for entry in run.ledger:
        numbers[place[entry.source, entry.hour], :5] += (entry.received, 0, 0, entry.redelivered, entry.dead_lettered)
    return Tally(rows=rows, numbers=numbers)
