"""One poll of an ingest worker: its records, checked one by one, as columns.

`Collector.collect` is the hot loop of ingest: a record costs one admission, one identity hash and some appends.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import msgspec
import numpy as np

from ingest.admission import Admission, Admitted, Rejected
from services.dead_letters import Reason
from services.events import text_names
from services.frames import COUNTER_COLUMNS, EVENT_COLUMNS, REJECTED_COLUMNS, Column, no_rows
from services.identifiers import PartitionId
from services.keyspace import partition_of
from services.metrics_contract import PRODUCTS

STRINGS_MAX: Final = 200_000
"""Distinct strings remembered from poll to poll; beyond it a worker begins anew."""

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
    """

    sources: Sequence[Source]
    strings: Sequence[str]
    events: Mapping[str, Column]
    rejected: Mapping[str, Column]
    partitions: Column
    letters: Sequence[RejectedRecord]


class Collector:
    """Checks the records of polls and gathers their columns.

    Args:
        admission: decides what is accepted.
        identity_hash: (organization, source, id) -> 8 bytes.
        partitions: P.
    """

    def __init__(self, admission: Admission, identity_hash: Callable[[str, str, str], bytes], partitions: int) -> None:
        self._admit = admission.admit
        self._identity_hash = identity_hash
        self._partitions = partitions
        self._strings: dict[str, int] = {}

    def begin(self) -> "Gathering":
        if len(self._strings) > STRINGS_MAX:
            self._strings = {}
        return Gathering(self._admit, self._identity_hash, self._strings)

    def poll(self, gathering: "Gathering", sources: Sequence[Source]) -> Poll:
        """Return what was gathered; `sources` in the order in which they were gathered."""
        events, rejected = gathering.event_columns(), gathering.rejected_columns()
        strings = list(self._strings)
        return Poll(
            sources=sources,
            strings=strings,
            events=events,
            rejected=rejected,
            partitions=self._partitions_of(events["organization"], strings),
            letters=gathering.letters,
        )

    def _partitions_of(self, organizations: Column, strings: Sequence[str]) -> Column:
        used, places = np.unique(organizations, return_inverse=True)
        owners: list[PartitionId] = [partition_of(strings[at], self._partitions) for at in used.tolist()]
        return np.array(owners, dtype=np.int64)[places]


class Gathering:
    """The rows of the poll that is being read."""

    def __init__(
        self,
        admit: Callable[[bytes | None, int, Sequence[tuple[str, bytes]]], Admitted | Rejected],
        identity_hash: Callable[[str, str, str], bytes],
        strings: dict[str, int],
    ) -> None:
        self._admit = admit
        self._identity_hash = identity_hash
        self._strings = strings
        self._rows: list[tuple[int, int, int, int, int, int, int, int]] = []
        self._identities: list[bytes] = []
        self._data: list[list[tuple[object, ...]]] = [[] for _ in PRODUCTS]
        self._places: list[list[int]] = [[] for _ in PRODUCTS]
        self.letters: list[RejectedRecord] = []

    def collect(self, source: int, records: Sequence[Record]) -> None:
        """Check the records of one source partition, in order."""
        admit, identity_hash, strings = self._admit, self._identity_hash, self._strings
        rows, identities, data, places = self._rows, self._identities, self._data, self._places
        intern, astuple = strings.setdefault, msgspec.structs.astuple
        for record in records:
            outcome = admit(record.value, record.timestamp, record.headers)
            if isinstance(outcome, Rejected):
                self.letters.append(
                    RejectedRecord(source=source, record=record, reason=outcome.reason, field=outcome.field)
                )
                continue
            product, event, time_ms = outcome
            team = event.teamid
            organization = event.organizationid
            places[product].append(len(rows))
            rows.append(
                (
                    intern(organization, len(strings)),
                    0 if team is None else intern(team, len(strings)) + 1,
                    intern(event.subject, len(strings)),
                    product,
                    time_ms,
                    record.timestamp,
                    source,
                    record.offset,
                )
            )
            identities.append(identity_hash(organization, event.source, event.id))
            data[product].append(astuple(event.data))

    def event_columns(self) -> dict[str, Column]:
        """Return the accepted events' columns, strings pointing into the collector's."""
        if not self._rows:
            return no_rows(EVENT_COLUMNS)
        names = ("organization", "team", "user", "product", "time_ms", "broker_ms", "source", "offset")
        matrix = np.array(self._rows, dtype=np.int64)
        columns = {name: matrix[:, at] for at, name in enumerate(names)}
        columns["identity"] = np.frombuffer(b"".join(self._identities), dtype="<i8")
        for name in EVENT_COLUMNS:
            if name not in columns:
                columns[name] = np.zeros(len(matrix), dtype=np.int64)
        for product, rows in zip(PRODUCTS, self._data, strict=True):
            if rows:
                self._place(columns, np.array(self._places[product.code]), list(zip(*rows, strict=True)), product.code)
        return columns

    def _place(
        self, columns: Mapping[str, Column], places: Column, data: Sequence[Sequence[object]], product: int
    ) -> None:
        counters = len(PRODUCTS[product].counters)
        for name, values in zip(COUNTER_COLUMNS, data[:counters], strict=False):
            columns[name][places] = np.maximum(np.array(values, dtype=np.int64), 0)
        for name, texts in zip(text_names(product), data[counters:], strict=True):
            columns[_SPLITS[name]][places] = [self._text(text) for text in texts]

    def _text(self, text: object) -> int:
        """Return a text's place plus 1, 0 for an absent one."""
        return self._strings.setdefault(str(text), len(self._strings)) + 1 if text else 0

    def rejected_columns(self) -> dict[str, Column]:
        if not self.letters:
            return no_rows(REJECTED_COLUMNS)
        intern, strings = self._strings.setdefault, self._strings
        rows = [
            (letter.source, letter.record.offset, letter.record.timestamp, intern(str(letter.reason), len(strings)))
            for letter in self.letters
        ]
        matrix = np.array(rows, dtype=np.int64)
        return {name: matrix[:, at] for at, name in enumerate(REJECTED_COLUMNS)}


def source_columns(records: Sequence[Record]) -> tuple[Column, Column]:
    """Return the offsets and broker times of records."""
    offsets = np.fromiter((record.offset for record in records), dtype=np.int64, count=len(records))
    times = np.fromiter((record.timestamp for record in records), dtype=np.int64, count=len(records))
    return offsets, times
