"""A run: consecutive frames of one partition, joined into one table of columns in log order. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from services.counters import SourcePosition
from services.directory_records import DirectoryChange
from services.frames import COUNTER_COLUMNS, Column, Frame
from services.identifiers import FrameId, FrameOffset
from services.windows import HOUR_MS, day_of, month_of_day

Source = tuple[str, int]

_COLUMNS = (
    "organization",
    "user",
    "team",
    "product",
    "hour",
    "time_ms",
    "identity",
    "broker_ms",
    "broker_hour",
    "source",
)
"""Of a run, one number an event."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerRow:
    """What a run adds to the ledger of one source partition in one hour of broker time."""

    source: Source
    hour: int
    received: int = 0
    dead_lettered: int = 0
    redelivered: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedChange:
    """One directory event of a run.

    Attributes:
        offset, broker_ms: of its record.
        redelivered: whether the event's coordinate was covered by an earlier frame.
    """

    change: DirectoryChange
    source: Source
    offset: int
    broker_ms: int
    redelivered: bool

    @property
    def hour(self) -> int:
        return self.broker_ms // HOUR_MS


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Frames `first` to `last` as columns.

    Attributes:
        frames: one a log offset.
        strings: what `organization`, `user` and `team` point to.
        organization, user: places in `strings`; `team` too, plus 1, 0 for none.
        product, hour, time_ms, identity: of each event.
        broker_ms, broker_hour, source: of each event's record; `source` points into `sources`.
        redelivered: True where the event's coordinate was covered by an earlier frame.
        counters: (events, 9) amounts.
        sources: source partitions that the run names.
        positions: what the run makes of each source's position.
        source_partitions: topic -> how many partitions it has, where that is more than was known before.
        months: month -> id of the last frame with a usage event of it.
        ledger: rows for received, dead-lettered and redelivered dead letters.
        directory: directory events in log order.
    """

    first: FrameOffset
    last: FrameOffset
    frames: Sequence[Frame]
    strings: Sequence[str]
    organization: Column
    user: Column
    team: Column
    product: Column
    hour: Column
    time_ms: Column
    identity: Column
    broker_ms: Column
    broker_hour: Column
    source: Column
    redelivered: npt.NDArray[np.bool_]
    counters: Column
    sources: Sequence[Source]
    positions: Mapping[Source, SourcePosition]
    source_partitions: Mapping[str, int]
    months: Mapping[int, FrameId]
    ledger: Sequence[LedgerRow]
    directory: Sequence[LoggedChange]

    def __len__(self) -> int:
        """Return the number of usage events."""
        return len(self.identity)

    @property
    def only_moves_on(self) -> bool:
        """Whether the run holds nothing but positions."""
        return not (len(self) or self.ledger or self.directory)


def join(
    first: FrameOffset,
    frames: Sequence[Frame],
    positions: Mapping[Source, SourcePosition],
    source_partitions: Mapping[str, int],
) -> Run:
    """Return consecutive frames as one run.

    Args:
        first: offset of the first frame.
        positions: of the sources before the run.
        source_partitions: topic -> how many partitions it had before the run. A count only grows: a worker that has
            not heard of a new partition yet must not make asOf known without it.
    """
    if not any(map(_holds_records, frames)):
        return _moved_on(first, frames, positions, source_partitions)
    strings: dict[str, int] = {}
    sources: dict[Source, int] = {}
    now = dict(positions)
    pieces = [_piece(frame, strings, sources, now) for frame in frames]
    ledger = [row for piece in pieces for row in piece.ledger]
    column = {name: np.concatenate([piece.columns[name] for piece in pieces]) for name in pieces[0].columns}
    return Run(
        first=first,
        last=FrameOffset(first + len(frames) - 1),
        frames=frames,
        strings=list(strings),
        organization=column["organization"],
        user=column["user"],
        team=column["team"],
        product=column["product"],
        hour=column["time_ms"] // HOUR_MS,
        time_ms=column["time_ms"],
        identity=column["identity"],
        broker_ms=column["broker_ms"],
        broker_hour=column["broker_ms"] // HOUR_MS,
        source=column["source"],
        redelivered=column["redelivered"].astype(np.bool_),
        counters=np.stack([column[name] for name in COUNTER_COLUMNS], axis=1),
        sources=list(sources),
        positions=_moved(now, positions),
        source_partitions=_grown(frames, source_partitions),
        months={month: frame.frame_id for frame in frames for month in _months(frame.events["time_ms"])},
        ledger=ledger,
        directory=[each for piece in pieces for each in piece.directory],
    )


def _holds_records(frame: Frame) -> bool:
    return bool(frame.event_count or frame.directory or frame.header.received or len(frame.rejected["offset"]))


def _moved_on(
    first: FrameOffset,
    frames: Sequence[Frame],
    positions: Mapping[Source, SourcePosition],
    source_partitions: Mapping[str, int],
) -> Run:
    """Return a run of frames without records, which are all that comes while nothing is published."""
    now = dict(positions)
    for frame in frames:
        _move_on(frame, now)
    nothing = dict.fromkeys(_COLUMNS, np.zeros(0, dtype=np.int64))
    return Run(
        first=first,
        last=FrameOffset(first + len(frames) - 1),
        frames=frames,
        strings=(),
        **nothing,
        redelivered=np.zeros(0, dtype=np.bool_),
        counters=np.zeros((0, len(COUNTER_COLUMNS)), dtype=np.int64),
        sources=(),
        positions=_moved(now, positions),
        source_partitions=_grown(frames, source_partitions),
        months={},
        ledger=(),
        directory=(),
    )


def _grown(frames: Sequence[Frame], source_partitions: Mapping[str, int]) -> Mapping[str, int]:
    """Return how many partitions the topics have of which frames know more than was known."""
    grown: dict[str, int] = {}
    for frame in frames:
        for topic, count in frame.header.source_partitions.items():
            if count > grown.get(topic, source_partitions.get(topic, 0)):
                grown[topic] = count
    return grown


def _moved(
    now: Mapping[Source, SourcePosition], before: Mapping[Source, SourcePosition]
) -> Mapping[Source, SourcePosition]:
    return {source: position for source, position in now.items() if before.get(source) != position}


def _move_on(frame: Frame, now: dict[Source, SourcePosition]) -> None:
    for source in frame.header.sources:
        key = (source.topic, source.partition)
        now[key] = _further(now.get(key), source.next_offset, source.read_up_to_ms)


@dataclass(frozen=True, slots=True)
class _Piece:
    columns: dict[str, Column]
    ledger: list[LedgerRow]
    directory: list[LoggedChange]


def _piece(
    frame: Frame, strings: dict[str, int], sources: dict[Source, int], now: dict[Source, SourcePosition]
) -> _Piece:
    """Return one frame's columns with strings and sources numbered for the run; move the positions on."""
    here = [(source.topic, source.partition) for source in frame.header.sources]
    covered = np.array([now[source].next_offset if source in now else 0 for source in here] or [0], dtype=np.int64)
    text = np.array([strings.setdefault(string, len(strings)) for string in frame.strings] or [0], dtype=np.int64)
    number = np.array([sources.setdefault(source, len(sources)) for source in here] or [0], dtype=np.int64)
    columns = {name: frame.events[name] for name in ("product", "time_ms", "broker_ms", "identity", *COUNTER_COLUMNS)}
    columns["organization"] = text[frame.events["organization"]]
    columns["user"] = text[frame.events["user"]]
    columns["team"] = np.concatenate([[0], text + 1])[frame.events["team"]]
    columns["redelivered"] = (frame.events["offset"] < covered[frame.events["source"]]).astype(np.int64)
    columns["source"] = number[frame.events["source"]]
    ledger = _received(frame, here, covered) + _dead_lettered(frame, here, covered)
    directory = [
        LoggedChange(
            change=row.change(),
            source=here[row.source],
            offset=row.offset,
            broker_ms=row.broker_ms,
            redelivered=bool(row.offset < covered[row.source]),
        )
        for row in frame.directory
    ]
    _move_on(frame, now)
    return _Piece(columns, ledger, directory)


def _further(position: SourcePosition | None, next_offset: int, read_up_to_ms: int | None) -> SourcePosition:
    """Return a position moved on; it never goes back, whichever worker's frame comes last."""
    if position is None:
        return SourcePosition(next_offset=next_offset, read_up_to_ms=read_up_to_ms)
    times = [time for time in (position.read_up_to_ms, read_up_to_ms) if time is not None]
    return SourcePosition(
        next_offset=max(position.next_offset, next_offset), read_up_to_ms=max(times) if times else None
    )


def _months(times_ms: Column) -> Sequence[int]:
    """Return the months that instants lie in; those of a frame mostly lie in one."""
    if not len(times_ms):
        return ()
    first, last = (month_of_day(day_of(int(time_ms))) for time_ms in (times_ms.min(), times_ms.max()))
    if first == last:
        return (first,)
    months: list[int] = np.unique(times_ms.astype("datetime64[ms]").astype("datetime64[M]").astype(np.int64)).tolist()
    return months


def _received(frame: Frame, here: Sequence[Source], covered: Column) -> list[LedgerRow]:
    """Return the received records that no earlier frame covered."""
    rows = []
    for run in frame.header.received:
        again = min(max(int(covered[run.source]) - run.first_offset, 0), run.count)
        if run.count > again:
            rows.append(LedgerRow(source=here[run.source], hour=run.hour, received=run.count - again))
    return rows


def _dead_lettered(frame: Frame, here: Sequence[Source], covered: Column) -> list[LedgerRow]:
    rows = []
    places, offsets, times = (frame.rejected[name].tolist() for name in ("source", "offset", "broker_ms"))
    for place, offset, time_ms in zip(places, offsets, times, strict=True):
        again = offset < covered[place]
        rows.append(
            LedgerRow(
                source=here[place],
                hour=time_ms // HOUR_MS,
                dead_lettered=0 if again else 1,
                redelivered=1 if again else 0,
            )
        )
    return rows
