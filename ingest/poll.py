"""One poll of an ingest worker: its records, checked, as columns.

What is done for each record is the hot path of ingest, so each step goes over whole lists or arrays.
"""

from array import array
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from operator import itemgetter
from typing import Any, Final, Protocol

import msgspec
import numpy as np
import numpy.typing as npt

from ingest.admission import Admission, Rejected
from ingest.admission_of_many import AdmissionOfMany, AdmittedMany
from ingest.directory_admission import DirectoryAdmission
from services.dead_letters import Reason
from services.directory_records import DirectoryChange
from services.directory_rows import DirectoryRow, directory_row
from services.events import text_names
from services.frames import COUNTER_COLUMNS, EVENT_COLUMNS, REJECTED_COLUMNS, Column, no_rows
from services.identifiers import PartitionId
from services.keyspace import partition_of, partition_of_unit, unit_of
from services.metrics_contract import PRODUCTS
from services.trace_context import TraceContext, sampled_trace_of

STRINGS_MAX: Final = 200_000
"""Distinct strings remembered from poll to poll; beyond it a worker begins anew."""

CHUNK: Final = 500
"""Records that are taken through all steps together: what they are made into stays in the processor's cache."""

CHUNK_TRACES: Final = 50
"""Sampled traces that are looked for in a chunk: few of them go on with a frame, and each takes a microsecond."""

Table = npt.NDArray[np.int64]
"""One row a column."""

_SPLITS: Final = {"model": "model", "language": "language", "ide": "ide", "agentType": "agent_type"}
"""Column of each text in the events' data."""


class Record(Protocol):
    """What is read of a Kafka record."""

    @property
    def offset(self) -> int: ...
    @property
    def timestamp(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Sequence[tuple[str, bytes]]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One source partition's share of a poll.

    Attributes:
        topic, partition: of the source.
        first_offset, next_offset: where the poll began and ended.
        read_up_to_ms: broker time before which every record is read; None when unknown.
        offsets, broker_ms: of every record, ascending by offset.
    """

    topic: str
    partition: int
    first_offset: int
    next_offset: int
    read_up_to_ms: int | None
    offsets: Column
    broker_ms: Column


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectedRecord:
    """A record that becomes a dead letter, with its source and why."""

    source: int
    record: Record
    reason: Reason
    field: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Poll:
    """A poll as columns (`services.frames`), whose strings point into `strings`.

    Attributes:
        sources: one a source partition.
        events, rejected: column name -> int64 array; rows in the order of source and offset.
        partitions: the frames partition of each event.
        letters: the rejected records themselves.
        directory: the accepted directory events, in the order of source and offset.
        directory_partitions: the frames partition of each of them.
        traces: row of an event -> the place in a sampled trace that it came from.
    """

    sources: Sequence[Source]
    strings: Sequence[str]
    events: Mapping[str, Column]
    rejected: Mapping[str, Column]
    partitions: Column
    letters: Sequence[RejectedRecord]
    directory: Sequence[DirectoryRow]
    directory_partitions: Column
    traces: Mapping[int, TraceContext]


class Collector:
    """Checks the records of polls and gathers their columns.

    Args:
        admission, directory: decide what is accepted of usage and of directory events.
        identity_hash: (organization, source, id) -> 8 bytes.
        partitions: P.
    """

    def __init__(
        self,
        admission: Admission,
        directory: DirectoryAdmission,
        identity_hash: Callable[[str, str, str], bytes],
        partitions: int,
    ) -> None:
        self._admission = AdmissionOfMany(admission)
        self._admit_directory = directory.admit
        self._identity_hash = identity_hash
        self._partitions = partitions
        self._places = _new_places()

    def begin(self) -> "Gathering":
        if len(self._places) > STRINGS_MAX:
            self._places = _new_places()
        return Gathering(self._admission, self._admit_directory, self._identity_hash, self._places)

    def poll(self, gathering: "Gathering", sources: Sequence[Source]) -> Poll:
        """Return what was gathered; `sources` in the order in which they were gathered."""
        events, rejected = gathering.event_columns(), gathering.rejected_columns()
        strings = list(self._places)
        return Poll(
            sources=sources,
            strings=strings,
            events=events,
            rejected=rejected,
            partitions=self._partitions_of(events["organization"], strings),
            letters=gathering.letters,
            directory=gathering.directory,
            directory_partitions=np.array(
                [
                    partition_of_unit(unit_of(row.thing, row.organization), self._partitions)
                    for row in gathering.directory
                ],
                dtype=np.int64,
            ),
            traces=gathering.traces,
        )

    def _partitions_of(self, organizations: Column, strings: Sequence[str]) -> Column:
        used, places = np.unique(organizations, return_inverse=True)
        owners: list[PartitionId] = [partition_of(strings[at], self._partitions) for at in used.tolist()]
        return np.array(owners, dtype=np.int64)[places]


class Gathering:
    """The rows of the poll that is being read."""

    def __init__(
        self,
        admission: AdmissionOfMany,
        admit_directory: Callable[[bytes | None, int, Sequence[tuple[str, bytes]]], DirectoryChange | Rejected],
        identity_hash: Callable[[str, str, str], bytes],
        places: defaultdict[str, int],
    ) -> None:
        self._admission = admission
        self._admit_directory = admit_directory
        self._identity_hash = identity_hash
        self._places = places
        self._tables: list[Table] = []
        self.letters: list[RejectedRecord] = []
        self.directory: list[DirectoryRow] = []
        self.traces: dict[int, TraceContext] = {}
        self._events = 0

    def collect(self, source: int, records: Sequence[Record]) -> tuple[Column, Column]:
        """Check the records of one source partition, in order; return the offsets and broker times of all of them."""
        offsets, times = _offsets_and_times(records)
        for start in range(0, len(records), CHUNK):
            chunk = slice(start, start + CHUNK)
            admitted = self._admission.admit(records[chunk], times[chunk])
            for at, why in admitted.rejected.items():
                self._reject(source, records[start + at], why)
            if admitted.events:
                rows = start + admitted.rows
                self._tables.append(self._table(admitted, source, offsets[rows], times[rows]))
                if admitted.headed:
                    self._note_traces(records[chunk], admitted)
                self._events += len(admitted.events)
        return offsets, times

    def collect_directory(self, source: int, records: Sequence[Record]) -> tuple[Column, Column]:
        """Check the records of the directory's partition; the same."""
        for record in records:
            outcome = self._admit_directory(record.value, record.timestamp, record.headers)
            if isinstance(outcome, Rejected):
                self._reject(source, record, outcome)
            else:
                self.directory.append(
                    directory_row(outcome, source=source, offset=record.offset, broker_ms=record.timestamp)
                )
        return _offsets_and_times(records)

    def _note_traces(self, records: Sequence[Record], admitted: AdmittedMany) -> None:
        headed, left = set(admitted.headed), CHUNK_TRACES
        for row, at in enumerate(admitted.rows.tolist(), start=self._events):
            if at in headed and (trace := sampled_trace_of(records[at].headers)) is not None:
                self.traces[row] = trace
                left -= 1
                if not left:
                    return

    def _reject(self, source: int, record: Record, why: Rejected) -> None:
        self.letters.append(RejectedRecord(source=source, record=record, reason=why.reason, field=why.field))

    def event_columns(self) -> dict[str, Column]:
        """Return the accepted events' columns, strings pointing into the collector's."""
        if not self._tables:
            return no_rows(EVENT_COLUMNS)
        return dict(zip(EVENT_COLUMNS, np.concatenate(self._tables, axis=1), strict=True))

    def _table(self, admitted: AdmittedMany, source: int, offsets: Column, broker_ms: Column) -> Table:
        """Return (columns, events): the admitted events, one row a column of `EVENT_COLUMNS`."""
        events, texts = admitted.events, admitted.texts
        table = np.zeros((len(EVENT_COLUMNS), len(events)), dtype=np.int64)
        column = dict(zip(EVENT_COLUMNS, table, strict=True))
        products = _integers([event.product for event in events])
        hashes = map(self._identity_hash, texts.organizations, texts.sources, texts.names)
        column["organization"][:] = self._pointing(texts.organizations)
        column["team"][:] = self._pointing_plus_one([team or "" for team in texts.teams])
        column["user"][:] = self._pointing(texts.users)
        column["product"][:] = products
        column["time_ms"][:] = admitted.time_ms
        column["identity"][:] = np.frombuffer(b"".join(hashes), dtype="<i8")
        column["source"][:] = source
        column["offset"][:] = offsets
        column["broker_ms"][:] = broker_ms
        for product in PRODUCTS:
            rows = np.flatnonzero(products == product.code)
            if len(rows):
                data = zip(*[msgspec.structs.astuple(events[row].data) for row in rows.tolist()], strict=True)
                self._place(column, rows, list(data), product.code)
        return table

    def _place(self, column: Mapping[str, Column], rows: Column, data: Sequence[Sequence[Any]], product: int) -> None:
        """Put one product's data, a sequence a field, into its rows."""
        counters = len(PRODUCTS[product].counters)
        for name, values in zip(COUNTER_COLUMNS, data[:counters], strict=False):
            column[name][rows] = np.maximum(_integers(values), 0)
        for name, texts in zip(text_names(product), data[counters:], strict=True):
            column[_SPLITS[name]][rows] = self._pointing_plus_one(texts)

    def _pointing(self, texts: Sequence[str]) -> Column:
        # One call for all of them; of a single key it would give its value alone.
        places = itemgetter(*texts)(self._places) if len(texts) > 1 else [self._places[text] for text in texts]
        return _integers(places)

    def _pointing_plus_one(self, texts: Sequence[str]) -> Column:
        """Return each text's place plus 1, 0 for an absent one, which is empty."""
        places = self._pointing(texts) + 1
        places[places == self._places[""] + 1] = 0
        return places

    def rejected_columns(self) -> dict[str, Column]:
        if not self.letters:
            return no_rows(REJECTED_COLUMNS)
        rows = [
            (letter.source, letter.record.offset, letter.record.timestamp, self._places[str(letter.reason)])
            for letter in self.letters
        ]
        matrix = np.array(rows, dtype=np.int64)
        return {name: matrix[:, at] for at, name in enumerate(REJECTED_COLUMNS)}


def _offsets_and_times(records: Sequence[Record]) -> tuple[Column, Column]:
    return _integers([record.offset for record in records]), _integers([record.timestamp for record in records])


def _integers(values: Sequence[int]) -> Column:
    """Return integers as a column; twice as quick as numpy's own way from a list."""
    return np.frombuffer(array("q", values), dtype=np.int64)


def _new_places() -> defaultdict[str, int]:
    """Return a dict that numbers the strings it is asked for."""
    return defaultdict(count().__next__)
