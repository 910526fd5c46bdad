"""The state of a partition as the fields of its Redis hash, and back.

Fields: `layout` (of the epoch's keys, `services.keyspace.LAYOUT`; 1 where it is absent), `release` (that began the
epoch; it decides nothing, and says what to install), `epoch`, `cur` (applied offset), `frame` (its id, absent before
the first), `partitions` (P), `fingerprint`, `n:TOPIC` (how many partitions a source topic has), `s:TOPIC/PARTITION`
(`next offset,read up to ms`, the second part empty when unknown), `m:MONTH` (id of the last frame that holds a usage
event of the month), `crash` (of `services.counters.Crash`, as `first,last,count,cause`; without meaning once its first
frame is applied). Fields that are not known are passed over.
"""

from collections.abc import Iterable, Mapping

from services.counters import ApplyRequest, Crash, PartitionState, SourcePosition, StoreRefused
from services.identifiers import Epoch, FrameId, FrameOffset
from services.keyspace import LAYOUT, LAYOUTS_READ
from services.release import install, running_version

_TOPIC = "n:"
_SOURCE = "s:"
_MONTH = "m:"


class UnknownLayout(StoreRefused):
    """Counters whose keys another release of Tidemark reads and writes."""


def write_state(state: PartitionState) -> list[str]:
    """Return a whole state as field, value, field, value, …."""
    fields = ["layout", str(LAYOUT), "release", running_version()]
    fields += ["epoch", str(state.epoch), "cur", str(state.applied_offset)]
    fields += ["partitions", str(state.partitions), "fingerprint", state.fingerprint]
    if state.frame_id is not None:
        fields += ["frame", str(state.frame_id)]
    return fields + _write_sources(state.source_partitions, state.sources) + write_months(state.months)


def write_progress(request: ApplyRequest) -> list[str]:
    """Return what a run changes of the state, in the same form."""
    fields = ["cur", str(request.last), "frame", str(request.frame_id)]
    return fields + _write_sources(request.source_partitions, request.sources) + write_months(request.months)


def read_state(fields: Mapping[bytes, bytes]) -> PartitionState | None:
    """Return the state that a hash's fields hold, None when there are none.

    Raises:
        UnknownLayout: of an epoch whose keys this release cannot read; its other fields may be anything.
        KeyError, ValueError: the fields are not a state.
    """
    if not fields:
        return None
    _check_layout(fields)
    names = {name.decode(): value.decode() for name, value in fields.items()}
    frame = names.get("frame")
    return PartitionState(
        epoch=Epoch(int(names["epoch"])),
        applied_offset=FrameOffset(int(names["cur"])),
        frame_id=None if frame is None else FrameId(int(frame)),
        partitions=int(names["partitions"]),
        fingerprint=names["fingerprint"],
        source_partitions={
            name.removeprefix(_TOPIC): int(value) for name, value in names.items() if name.startswith(_TOPIC)
        },
        sources=dict(_read_sources(names)),
        months={
            int(name.removeprefix(_MONTH)): FrameId(int(value))
            for name, value in names.items()
            if name.startswith(_MONTH)
        },
        crash=_read_crash(names),
    )


def _check_layout(fields: Mapping[bytes, bytes]) -> None:
    layout = int(fields.get(b"layout", b"1"))
    if layout not in LAYOUTS_READ:
        release = fields.get(b"release", b"").decode()
        raise UnknownLayout(
            f"the counters in Redis have key layout {layout}, this release ({running_version()}) reads up to {LAYOUT}:"
            f" {install(release)}; nothing was changed"
        )


def _write_sources(topics: Mapping[str, int], sources: Mapping[tuple[str, int], SourcePosition]) -> list[str]:
    fields = []
    for topic, count in topics.items():
        fields += [f"{_TOPIC}{topic}", str(count)]
    for (topic, partition), position in sources.items():
        read_up_to = "" if position.read_up_to_ms is None else str(position.read_up_to_ms)
        fields += [f"{_SOURCE}{topic}/{partition}", f"{position.next_offset},{read_up_to}"]
    return fields


def write_months(months: Mapping[int, FrameId]) -> list[str]:
    """Return months of a state as field, value, field, value, …."""
    return [text for month, frame in months.items() for text in (f"{_MONTH}{month}", str(frame))]


def _read_crash(names: Mapping[str, str]) -> Crash | None:
    if "crash" not in names:
        return None
    first, last, count, cause = names["crash"].split(",", 3)
    if int(first) != int(names["cur"]) + 1:
        return None
    return Crash(first=FrameOffset(int(first)), last=FrameOffset(int(last)), cause=cause, count=int(count))


def _read_sources(names: Mapping[str, str]) -> Iterable[tuple[tuple[str, int], SourcePosition]]:
    for name, value in names.items():
        if name.startswith(_SOURCE):
            topic, _, partition = name.removeprefix(_SOURCE).rpartition("/")
            next_offset, _, read_up_to = value.partition(",")
            yield (
                (topic, int(partition)),
                SourcePosition(next_offset=int(next_offset), read_up_to_ms=int(read_up_to) if read_up_to else None),
            )
