"""Two hashes side by side, live and as the log says: which cells differ, told so that a person finds them. Pure.

Distinct users are compared by name: the ordinals that bitmaps are made of belong to their epoch.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from services.cell_rows import WINDOW_MS
from services.counter_codec import CorruptCounter, unpack
from services.counters import PartitionState
from services.keyspace import COUNT_FIELD, CounterKey, Kind, index_key, parse_counter_key, unescape
from services.ledger import ENTRIES
from services.metrics_contract import PRODUCTS
from services.verification import Difference, Part
from services.windows import HOUR_MS, HOURS_PER_DAY, Window, first_day_of_month, rfc3339

Fields = Mapping[bytes, bytes]
Names = Mapping[int, str]
"""Ordinal -> user."""

SHOWN_MAX: Final = 20
"""Users that one difference names."""

WINDOW_OF: Final = {
    Kind.HOURS: Window.HOUR,
    Kind.ACTIVE_HOURS: Window.HOUR,
    Kind.DAYS: Window.DAY,
    Kind.ACTIVE_DAYS: Window.DAY,
}
_ACTIVE: Final = (Kind.ACTIVE_HOURS, Kind.ACTIVE_DAYS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Indexes:
    """The users of one organization or team by ordinal, in both epochs."""

    live: Names
    log: Names


def indexes_of(live: Fields, log: Fields) -> Indexes:
    return Indexes(live=_names_of(live), log=_names_of(log))


def _names_of(index: Fields) -> Names:
    """Return the users that a user index gives an ordinal."""
    return {int(value): name.decode() for name, value in index.items() if name != COUNT_FIELD and value.isdigit()}


def counter_differences(partition: int, key: CounterKey, live: Fields, log: Fields) -> Iterator[Difference]:
    """Yield the cells of a counter hash that differ, with the counters that do."""
    for field in _differing(live, log):
        at, product = place_of(key, field)
        counters = PRODUCTS[product].counters
        left, right = (_amounts(counters, side.get(field)) for side in (live, log))
        if left == right:
            continue
        if isinstance(left, dict) and isinstance(right, dict):
            names = [name for name in counters if left[name] != right[name]]
            left, right = ({name: side[name] for name in names} for side in (left, right))
        yield Difference(partition=partition, part=Part.COUNTERS, place=at, live=left, log=right)


def active_differences(
    partition: int, key: CounterKey, live: Fields, log: Fields, indexes: Indexes
) -> Iterator[Difference]:
    """Yield the cells of a hash of bitmaps whose users differ, with those that only one side has."""
    for field in sorted(live.keys() | log.keys()):
        left = _users(live.get(field, b""), indexes.live)
        right = _users(log.get(field, b""), indexes.log)
        if left != right:
            yield Difference(
                partition=partition,
                part=Part.ACTIVE_USERS,
                place=place_of(key, field)[0],
                live=sorted(left - right)[:SHOWN_MAX],
                log=sorted(right - left)[:SHOWN_MAX],
            )


def index_differences(partition: int, scope: Mapping[str, Any], live: Fields, log: Fields) -> Iterator[Difference]:
    """Yield the users that only one index holds, and what is wrong with the live one in itself."""
    for name in sorted((live.keys() ^ log.keys()) - {COUNT_FIELD}):
        user = name.decode(errors="replace")
        yield Difference(
            partition=partition,
            part=Part.USERS,
            place={**scope, "user": user},
            live="known" if name in live else None,
            log="known" if name in log else None,
        )
    if (wrong := _wrong_ordinals(live)) and not _wrong_ordinals(log):
        yield Difference(partition=partition, part=Part.USERS, place=scope, live=wrong, log="ordinals of their own")


def record_differences(
    partition: int,
    part: Part,
    place: Callable[[bytes], Mapping[str, Any]],
    live: Fields,
    log: Fields,
    read: Callable[[bytes], Any] = lambda value: value.decode(errors="replace"),
) -> Iterator[Difference]:
    """Yield the fields of any other hash that differ, their values as `read` shows them."""
    for field in _differing(live, log):
        left, right = (None if field not in side else read(side[field]) for side in (live, log))
        if left != right:
            yield Difference(partition=partition, part=part, place=place(field), live=left, log=right)


def state_differences(
    partition: int, live: PartitionState, log: PartitionState, *, whole: bool
) -> Iterator[Difference]:
    """Yield what the frames alone decide of the state, and is otherwise, at one applied offset.

    Args:
        whole: whether the log is; else it tells the last frame and the months that it has events of.
    """
    if live.frame_id != log.frame_id:
        yield _of_state(partition, {"field": "frame"}, live.frame_id, log.frame_id)
    for name in ("source_partitions", "sources", "months") if whole else ("months",):
        mine, theirs = getattr(live, name), getattr(log, name)
        for entry in sorted(mine.keys() | theirs.keys() if whole else theirs.keys()):
            if mine.get(entry) != theirs.get(entry):
                left, right = (None if entry not in side else str(side[entry]) for side in (mine, theirs))
                yield _of_state(partition, {"field": name, "of": str(entry)}, left, right)


def sound_fields(name: str, fields: Fields, sound_ms: int | None) -> Fields:
    """Return the fields of a hash that the log decides alone: those of windows that begin at `sound_ms` or later.

    What is not kept by windows is returned as it is, and so is everything where the log is whole (None).
    """
    key = None if sound_ms is None else read_key(name)
    if sound_ms is None or (key is None and not name.startswith("l:")):
        return fields
    if key is None:
        return {field: value for field, value in fields.items() if ledger_hour(name, field) * HOUR_MS >= sound_ms}
    return {field: value for field, value in fields.items() if window_start_ms(key, field) >= sound_ms}


def ledger_hour(name: str, field: bytes) -> int:
    """Return the hour window of a field of a ledger hash."""
    return int(name.rpartition("/")[2]) * HOURS_PER_DAY + int(field)


def window_start_ms(key: CounterKey, field: bytes) -> int:
    """Return when the window of a field of a counter or bitmap hash begins."""
    window = WINDOW_OF[key.kind]
    first = key.period * HOURS_PER_DAY if window is Window.HOUR else first_day_of_month(key.period)
    return (first + int(field) // len(PRODUCTS)) * WINDOW_MS[window]


def ledger_entries(value: bytes) -> Any:
    """Return a ledger row as numbers by name, or its bytes when it is none."""
    return _amounts(ENTRIES, value)


def scope_of(rest: str) -> dict[str, Any]:
    """Return the organization, and the team if any, that the part of a key between its kind and its period names."""
    organization, _, team = rest.partition("/t/")
    return {"organization": unescape(organization), "team": unescape(team) if team else None}


def read_key(name: str) -> CounterKey | None:
    """Return what a counter's key without its epoch's prefix names, None for any other."""
    try:
        return parse_counter_key(name, "")
    except ValueError:
        return None


def key_of(name: str) -> CounterKey:
    """Return what the name of a counter or bitmap hash says."""
    key = read_key(name)
    assert key is not None
    return key


def index_of(name: str) -> str:
    """Return the user index that a hash of bitmaps is made of."""
    return index_key("", key_of(name).scope)


def place_of(key: CounterKey, field: bytes) -> tuple[dict[str, Any], int]:
    """Return where a field of a counter or bitmap hash lies, and its product."""
    product = int(field) % len(PRODUCTS)
    scope: dict[str, Any] = {"organization": key.scope.organization, "team": key.scope.team}
    if key.kind not in _ACTIVE:
        scope["user"] = key.scope.user
    start = rfc3339(window_start_ms(key, field))
    return {**scope, "window": WINDOW_OF[key.kind].value, "start": start, "product": PRODUCTS[product].name}, product


def _of_state(partition: int, place: Mapping[str, Any], live: Any, log: Any) -> Difference:
    return Difference(partition=partition, part=Part.STATE, place=place, live=live, log=log)


def _differing(live: Fields, log: Fields) -> list[bytes]:
    """Return the fields whose bytes differ, or that only one side has."""
    if live == log:
        return []
    return sorted(field for field in live.keys() | log.keys() if live.get(field) != log.get(field))


def _amounts(names: tuple[str, ...], value: bytes | None) -> Any:
    if value is None:
        return None
    try:
        numbers = unpack([value])[0].tolist()
    except CorruptCounter:
        return f"no numbers: {value.hex()}"
    return dict(zip(names, numbers, strict=False))


def _users(bitmap: bytes, names: Names) -> frozenset[str]:
    bits = np.unpackbits(np.frombuffer(bitmap, dtype=np.uint8), bitorder="little")
    return frozenset(names.get(ordinal, f"(nobody, ordinal {ordinal})") for ordinal in np.flatnonzero(bits).tolist())


def _wrong_ordinals(index: Fields) -> str | None:
    """Return what is wrong with an index in itself: an ordinal that two share, or that a new user would be given."""
    ordinals = [value for name, value in index.items() if name != COUNT_FIELD]
    if not index:
        return None
    count = index.get(COUNT_FIELD, b"")
    if not count.isdigit() or not all(value.isdigit() for value in ordinals):
        return "an ordinal or the count is no number"
    if len(set(ordinals)) < len(ordinals):
        return "two users share an ordinal"
    if ordinals and max(map(int, ordinals)) >= int(count):
        return "the count lies below an ordinal"
    return None
