"""The frame: one partition's share of one poll of an ingest worker, as columns. Encode, decode, version.

A frame is a msgpack array (`FrameBody`). An integer column is stored as (base, width, bytes): the smallest value, and
what each row has above it in 0, 1, 2, 4 or 8 little-endian unsigned bytes. Strings stand once in a table that columns
point into. Every frame, also one without events, says how far it covers each source partition that its writer reads:
all of the partition's records before `next_offset` are in this frame or earlier ones of the same frames partition.
Directory events are few, and stand one after the other as rows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

from services.directory_records import STATUS_OF_CODE
from services.directory_rows import DirectoryRow
from services.event_rules import FIRST_MS, LAST_MS
from services.identifiers import FrameId
from services.metrics_contract import AMOUNT_MAX, COUNTERS_PER_PRODUCT_MAX, PRODUCTS
from services.release import install, running_version

VERSION: Final = 2
VERSIONS_READ: Final = (1, VERSION)
"""Version 1 had no directory rows; frames are kept, so that what was written once is read for ever.

What may change under one version, and how a version is raised, says ADR 0031. Of every version the first element is the
header, whose first element is the version and whose seventh is the release that wrote it.
"""

Column = npt.NDArray[np.int64]

COUNTER_COLUMNS: Final = tuple(f"counter{i}" for i in range(COUNTERS_PER_PRODUCT_MAX))
"""Counters of the event's product in the order of `services.metrics_contract`."""

SPLIT_COLUMNS: Final = ("model", "language", "ide", "agent_type")
EVENT_COLUMNS: Final = (
    "organization",
    "team",
    "user",
    "product",
    "time_ms",
    "broker_ms",
    "source",
    "offset",
    "identity",
    *SPLIT_COLUMNS,
    *COUNTER_COLUMNS,
)
"""Columns of the events, one row each in the order of arrival.

`organization` and `user` point into the string table; `team` and the splits too, plus 1, 0 for none. `source` points
into the header's sources. `identity` is the signed view of the 64-bit identity hash.
"""

_IDENTITY: Final = EVENT_COLUMNS.index("identity")

REJECTED_COLUMNS: Final = ("source", "offset", "broker_ms", "reason")
"""Columns of the dead-lettered records; `reason` points into the string table."""

ROWS_MAX: Final = 65_536
"""Most rows of a frame that is read; one that is written holds at most 4,000. Bounds what a damaged one can cost."""

_POINTS_INTO: Final = {
    "organization": (0, "strings"),
    "user": (0, "strings"),
    "reason": (0, "strings"),
    **dict.fromkeys(("team", *SPLIT_COLUMNS), (1, "strings")),
    "source": (0, "sources"),
    "product": (0, "products"),
    **dict.fromkeys(COUNTER_COLUMNS, (0, "amounts")),
}
"""What a column's values are places in; 1 where these count from 1."""

_WIDTHS: Final = {0: None, 1: np.dtype("<u1"), 2: np.dtype("<u2"), 4: np.dtype("<u4"), 8: np.dtype("<u8")}


class WrongFrame(Exception):
    """Bytes that are not a frame this version reads; the message says what to do."""


class UnknownVersion(WrongFrame):
    """A frame of a version that another release of Tidemark reads."""


class FrameSource(msgspec.Struct, array_like=True, frozen=True, kw_only=True):
    """What a frame says of one source partition.

    Attributes:
        topic, partition: of the source.
        first_offset, next_offset: the frame's own share of the source, half-open; equal when there is none.
        received: records read in that share, of all frames partitions; counted in the source's home frame only, else 0.
        rejected: of these, dead-lettered.
        read_up_to_ms: broker time before which the source is covered; None when unknown.
    """

    topic: str
    partition: int
    first_offset: int
    next_offset: int
    received: int
    rejected: int
    read_up_to_ms: int | None


class ReceivedRun(msgspec.Struct, array_like=True, frozen=True):
    """Records with consecutive offsets and the same hour of broker time, in the source's home frame.

    Attributes:
        source: place in the header's sources.
        first_offset: of the first record.
        count: records, all offsets from the first on.
        hour: hours of broker time since the epoch.
    """

    source: int
    first_offset: int
    count: int
    hour: int


class PackedColumn(msgspec.Struct, array_like=True, frozen=True):
    base: int
    width: int
    data: bytes


class FrameHeader(msgspec.Struct, array_like=True, frozen=True, kw_only=True):
    """What stands before the columns.

    Attributes:
        version: of this format.
        frame_id: random, 64 bits.
        fingerprint: of the identity secret (`services.identity`).
        source_partitions: topic -> how many partitions it has now.
        sources: one row a source partition.
        received: one row a run of records, for the sources whose home is this frames partition.
        release: of Tidemark that wrote it; empty in frames of before it was told.
    """

    version: int
    frame_id: int
    fingerprint: str
    source_partitions: dict[str, int]
    sources: tuple[FrameSource, ...]
    received: tuple[ReceivedRun, ...]
    release: str = ""


class FrameBody(msgspec.Struct, array_like=True, frozen=True):
    header: FrameHeader
    strings: tuple[str, ...]
    events: int
    event_columns: tuple[PackedColumn, ...]
    rejected: int
    rejected_columns: tuple[PackedColumn, ...]
    directory: tuple[DirectoryRow, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """A decoded frame. `events` and `rejected`: column name -> int64 array, all of one length each."""

    header: FrameHeader
    strings: Sequence[str]
    events: Mapping[str, Column]
    rejected: Mapping[str, Column]
    directory: Sequence[DirectoryRow] = ()

    @property
    def frame_id(self) -> FrameId:
        return FrameId(self.header.frame_id)

    @property
    def event_count(self) -> int:
        return len(self.events["offset"])


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(FrameBody)


class _VersionOnly(msgspec.Struct, array_like=True):
    version: int


class _HeaderOnly(msgspec.Struct, array_like=True):
    header: _VersionOnly


class _AnyHeader(msgspec.Struct, array_like=True):
    header: tuple[Any, ...]


_RELEASE_CHARACTERS_MAX: Final = 64
"""A damaged frame shall not fill the log line that says so."""

_MALFORMED: Final = (msgspec.DecodeError, ValueError, KeyError, OverflowError, RecursionError)
_NO_COLUMN: Final = PackedColumn(0, 0, b"")

_version_decoder = msgspec.msgpack.Decoder(_HeaderOnly)
_any_header_decoder = msgspec.msgpack.Decoder(_AnyHeader)
_RELEASE: Final = FrameHeader.__struct_fields__.index("release")


def encode_frame(frame: Frame) -> bytes:
    return _encoder.encode(
        FrameBody(
            frame.header,
            tuple(frame.strings),
            len(frame.events["offset"]),
            tuple(_pack(frame.events[name]) for name in EVENT_COLUMNS),
            len(frame.rejected["offset"]),
            tuple(_pack(frame.rejected[name]) for name in REJECTED_COLUMNS),
            tuple(frame.directory),
        )
    )


def decode_frame(data: bytes | None) -> Frame:
    """Return the frame that the bytes hold.

    Raises:
        WrongFrame: they hold none, or one of another version.
    """
    try:
        return _frame(_body(data))
    except _MALFORMED as error:
        raise WrongFrame(f"not a frame: {error}") from error


def without_events(data: bytes | None) -> tuple[Frame, int]:
    """Return a frame's header and dead-lettered records alone, and how many events it would bring.

    Raises:
        WrongFrame: these cannot be read.
    """
    try:
        body = _body(data)
        events = body.events + len(body.directory)
        columns = (_NO_COLUMN,) * len(EVENT_COLUMNS)
        return _frame(msgspec.structs.replace(body, events=0, event_columns=columns, directory=())), events
    except _MALFORMED as error:
        raise WrongFrame(f"not a frame: {error}") from error


def look_for(data: bytes | None, identity: int) -> tuple[FrameHeader, bool]:
    """Return a frame's header, and whether it holds a usage event of an identity, as the signed number of its column.

    One column is read, at a small part of what decoding the frame costs.

    Raises:
        WrongFrame: the bytes hold no frame, or one of another version.
    """
    try:
        body = _body(data)
        identities = _unpack(body.event_columns[_IDENTITY], body.events)
        return body.header, bool((identities == np.int64(identity)).any())
    except (*_MALFORMED, IndexError) as error:
        raise WrongFrame(f"not a frame: {error}") from error


def digest(data: bytes | None) -> FrameId:
    """Return what stands for the frame id of bytes that were skipped, whatever they hold."""
    return FrameId(int.from_bytes(sha256(data or b"").digest()[:8]))


def _body(data: bytes | None) -> FrameBody:
    version = _version_decoder.decode(data or b"").header.version
    if version not in VERSIONS_READ:
        raise UnknownVersion(
            f"a frame of version {version}, this release ({running_version()}) reads up to {VERSION}:"
            f" {install(_release_of(data or b''))} here, the aggregators before ingest; the frame stays in the log and"
            " nothing of it is counted until then"
        )
    return _decoder.decode(data or b"")


def _release_of(data: bytes) -> str:
    """Return the release that wrote a frame of whatever version, empty where it does not say."""
    header = _any_header_decoder.decode(data).header
    told = header[_RELEASE] if len(header) > _RELEASE else ""
    return told if isinstance(told, str) and len(told) <= _RELEASE_CHARACTERS_MAX else ""


def _frame(body: FrameBody) -> Frame:
    sizes = {
        "strings": len(body.strings),
        "sources": len(body.header.sources),
        "products": len(PRODUCTS),
        "amounts": AMOUNT_MAX + 1,
    }
    if any(not 0 <= run.source < sizes["sources"] or run.count < 0 for run in body.header.received):
        raise ValueError("received records of no source")
    if any(
        not 0 <= row.source < sizes["sources"]
        or row.status not in STATUS_OF_CODE
        or not FIRST_MS <= row.time_ms <= LAST_MS
        for row in body.directory
    ):
        raise ValueError("a directory row of no source, status or moment")
    return Frame(
        header=body.header,
        strings=body.strings,
        events=_unpack_all(EVENT_COLUMNS, body.event_columns, body.events, sizes),
        rejected=_unpack_all(REJECTED_COLUMNS, body.rejected_columns, body.rejected, sizes),
        directory=body.directory,
    )


def no_rows(names: Sequence[str]) -> dict[str, Column]:
    empty = np.zeros(0, dtype=np.int64)
    return dict.fromkeys(names, empty)


def _pack(column: Column) -> PackedColumn:
    if not len(column):
        return PackedColumn(0, 0, b"")
    base = int(column.min())
    span = int(column.max()) - base
    width = next(width for width in _WIDTHS if span < 1 << (8 * width))
    dtype = _WIDTHS[width]
    # The subtraction may wrap at 64 bits (identities do); so does the addition on the way back.
    data = b"" if dtype is None else (column - np.int64(base)).astype(dtype).tobytes()
    return PackedColumn(base, width, data)


def _unpack_all(
    names: Sequence[str], columns: Sequence[PackedColumn], rows: int, sizes: Mapping[str, int]
) -> dict[str, Column]:
    if not 0 <= rows <= ROWS_MAX:
        raise ValueError(f"{rows} rows")
    if not rows and len(columns) == len(names) and not any(column.width for column in columns):
        return no_rows(names)
    unpacked = {name: _unpack(column, rows) for name, column in zip(names, columns, strict=True)}
    for name, values in unpacked.items():
        if rows and name in _POINTS_INTO:
            first, target = _POINTS_INTO[name]
            if values.min() < 0 or values.max() >= sizes[target] + first:
                raise ValueError(f"column {name} points beyond the {target}")
    return unpacked


def _unpack(column: PackedColumn, rows: int) -> Column:
    dtype = _WIDTHS[column.width]
    if dtype is None:
        return np.full(rows, column.base, dtype=np.int64)
    values = np.frombuffer(column.data, dtype=dtype)
    if len(values) != rows:
        raise ValueError(f"a column has {len(values)} rows, not {rows}")
    return values.astype(np.int64) + np.int64(column.base)
