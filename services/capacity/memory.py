"""Bytes of Redis: of cells, bitmaps of active users, user indexes, identities, ledger and directory. Pure.

Each is the sum over keys of what Redis needs for a key and its value (`services.capacity.redis_sizes`), the number of
keys and fields being what so many events touch (`services.capacity.cells`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from services.capacity import redis_sizes
from services.capacity.calls import RANGES_MIN, ROOM
from services.capacity.cells import Fields, scope_fields, touched, user_fields
from services.capacity.demand import DAYS_A_MONTH, Demand
from services.capacity.population import partition_shares, teams_of, users_of
from services.capacity.redis_sizes import Numbers
from services.dedup_index import PERIOD_MS, SET_TARGET
from services.keyspace import BUCKETS
from services.windows import DAY_MS

PERIOD_DAYS: Final = PERIOD_MS / DAY_MS
HOURS_A_DAY: Final = 24.0

EPOCH_PREFIX: Final = len("tm:{12}:e1:")
HOURS_KEY: Final = len("h:/20000")
DAYS_KEY: Final = len("d:/680")
ACTIVE: Final = len("a")
MEMBER: Final = len("/u/")

DIRECTORY_FIELD: Final = len("u/")
DIRECTORY_RECORD: Final = 190.0
"""Bytes of a user's stored record, of those that `tidemark simulate --directory` makes: 192."""

DIRECTORY_MONTH: Final = 16.0
"""Bytes of a month in which a user changed: 15."""

DIRECTORY_MONTHS: Final = 4.0
"""Months in which a user changed, of two years: assumed."""

LEDGER_VALUE: Final = 16.0
"""Bytes of five numbers of up to three bytes, and one for their width."""

POSITION: Final = 64.0
"""Bytes of what the state of a partition says of one source partition."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """How long things are kept, in days of data that are held at once.

    Attributes:
        hour_days: of hour windows, with today's.
        day_days: of day windows.
        months: calendar months that these lie in.
        id_days: of identities.
        ledger_days: of the ledger.
    """

    hour_days: float
    day_days: float
    months: float
    id_days: float
    ledger_days: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """What lies in Redis: bytes as `MEMORY USAGE` tells them, keys, and whether a key ends, by kind.

    The kinds are those of `services.keyspace`: h, d, ha, da, i, x, l, r, state.
    """

    bytes: Mapping[str, float]
    keys: Mapping[str, float]
    identities: float
    cells: float

    @property
    def used(self) -> float:
        """Return what Redis tells as `used_memory`, less that of an empty one."""
        ending = sum(self.keys[kind] for kind in ENDING if kind in self.keys)
        tables = sum(self.keys.values()) * redis_sizes.KEY_TABLE + ending * redis_sizes.EXPIRY
        return sum(self.bytes.values()) + tables


ENDING: Final = ("h", "d", "ha", "da", "x", "l")
"""Kinds of keys that have an end."""


class _Tally:
    """Adds up bytes and keys by kind."""

    def __init__(self) -> None:
        self.bytes: dict[str, float] = {}
        self.keys: dict[str, float] = {}
        self.cells = 0.0

    def add(self, kind: str, keys: float | Numbers, each: float | Numbers) -> None:
        self.keys[kind] = self.keys.get(kind, 0.0) + float(np.sum(keys))
        self.bytes[kind] = self.bytes.get(kind, 0.0) + float(np.sum(np.asarray(keys) * each))


def memory(demand: Demand, kept: Kept, partitions: int, source_partitions: int) -> Memory:
    """Return what a deployment holds when everything that is kept has come in."""
    tally = _Tally()
    _users(tally, demand, kept)
    organizations = demand.sizes
    users, teams = users_of(organizations, demand.users), teams_of(organizations, demand.teams)
    scope = EPOCH_PREFIX + demand.id_length
    _scopes(tally, demand, kept, _Scopes(organizations.count, organizations.share, users, scope, HOURS_A_DAY))
    if demand.teams:
        of_team = _Scopes(
            organizations.count * teams,
            organizations.share / teams,
            np.maximum(users / teams, 1.0),
            scope + MEMBER + demand.id_length,
            demand.active_hours,
        )
        _scopes(tally, demand, kept, of_team)
    identities = _identities(tally, demand, kept, partitions)
    sources = min(source_partitions, demand.organizations / partitions) if demand.keyed else source_partitions
    tally.add(
        "l",
        partitions * max(sources, 1.0) * kept.ledger_days,
        redis_sizes.key(EPOCH_PREFIX + 28) + redis_sizes.listpack(HOURS_A_DAY, LEDGER_VALUE),
    )
    tally.add("state", partitions, 200.0 + source_partitions * POSITION)
    if demand.directory:
        _directory(tally, demand)
    return Memory(bytes=tally.bytes, keys=tally.keys, identities=identities, cells=tally.cells)


def _users(tally: _Tally, demand: Demand, kept: Kept) -> None:
    days_a_month = kept.day_days * demand.active_share / kept.months
    hours, days = user_fields(demand.events_a_user_day, demand.product_shares, demand.active_hours, days_a_month)
    key_length = EPOCH_PREFIX + 2 * demand.id_length + MEMBER
    user_days, user_months = demand.users * demand.active_share * kept.hour_days, demand.users * kept.months
    _counters(tally, "h", user_days, key_length + HOURS_KEY, hours)
    _counters(tally, "d", user_months, key_length + DAYS_KEY, days)


def _counters(tally: _Tally, kind: str, keys: float | Numbers, length: float, fields: Fields) -> None:
    tally.add(kind, keys, redis_sizes.key(length) + redis_sizes.listpack(fields.count, fields.value))
    tally.cells += float(np.sum(np.asarray(keys) * fields.count))


@dataclass(frozen=True, slots=True)
class _Scopes:
    """Organizations or teams in groups: how many, share of all events, users of each, and the length of their keys."""

    count: Numbers
    share: Numbers
    users: Numbers
    key_length: float
    hours: float


def _scopes(tally: _Tally, demand: Demand, kept: Kept, of: _Scopes) -> None:
    """Add counters, bitmaps and user indexes."""
    events = demand.counted_per_day * of.share
    days_a_month = kept.day_days / kept.months
    hours, days = scope_fields(events, demand.product_shares, of.hours, days_a_month)
    day_keys = of.count * touched(events) * kept.hour_days
    month_keys = of.count * touched(events * days_a_month) * kept.months
    for kind, keys, extra, fields, per_cell in (
        ("h", day_keys, HOURS_KEY, hours, touched(events)),
        ("d", month_keys, DAYS_KEY, days, touched(events * days_a_month)),
    ):
        given_any = Fields(count=fields.count / np.maximum(per_cell, 1e-12), value=fields.value)
        length = of.key_length + extra
        _counters(tally, kind, keys, length, given_any)
        bitmap = _bitmap(of.users, demand, kind, events, of.hours)
        small = redis_sizes.listpack(given_any.count, bitmap)
        large = redis_sizes.table(given_any.count, 2, bitmap)
        value = np.where(bitmap <= redis_sizes.LISTPACK_VALUE_MAX, small, large)
        tally.add(f"{kind}a", keys, redis_sizes.key(length + ACTIVE) + value)
    tally.add("i", of.count, redis_sizes.key(of.key_length + 2) + _index(of.users, demand.id_length))


def _bitmap(users: Numbers, demand: Demand, kind: str, events: Numbers, hours: float) -> Numbers:
    """Return the mean bytes of a bitmap: as far as the highest ordinal of the users who are active in the window."""
    boxes = hours if kind == "h" else 1.0
    here = np.maximum(users * demand.active_share, 1e-9)[:, None]
    of_product = events[:, None] * np.asarray(demand.product_shares) / boxes
    active = here * touched(of_product / here)
    seen = touched(of_product)
    members = np.maximum(active / np.maximum(seen, 1e-12), 1.0)
    last = users[:, None] * members / (members + 1)
    sizes = np.maximum(last / 8 + 0.5, 1.0)
    mean: Numbers = (sizes * seen).sum(axis=1) / np.maximum(seen.sum(axis=1), 1e-12)
    return mean


def _index(users: Numbers, id_length: int) -> Numbers:
    digits = np.log10(np.maximum(users, 1.0)) + 0.5
    small = redis_sizes.allocated(redis_sizes.LISTPACK_HEAD + (users + 1) * (id_length + 2 + 4))
    is_small = (users < redis_sizes.INDEX_LISTPACK_MAX) & (id_length <= redis_sizes.LISTPACK_VALUE_MAX)
    return np.where(is_small, small, redis_sizes.table(users + 1, id_length, digits))


def _identities(tally: _Tally, demand: Demand, kept: Kept, partitions: int) -> float:
    """Add the dedup index; return how many identities it holds."""
    periods = kept.id_days / PERIOD_DAYS
    held = demand.counted_per_day * kept.id_days
    for share in partition_shares(demand.organizations, demand.largest_share, partitions):
        of_period = demand.counted_per_day * PERIOD_DAYS * float(share)
        if not of_period:
            continue
        ranges = max(RANGES_MIN, of_period * ROOM / SET_TARGET)
        used = ranges * float(touched(of_period / ranges))
        each = redis_sizes.key(EPOCH_PREFIX + len("x:2900/0/1000")) + redis_sizes.integers(of_period / used)
        tally.add("x", used * periods, each)
        tally.add("x", periods, redis_sizes.key(EPOCH_PREFIX + len("x:2900")) + 40)
    return held


def _directory(tally: _Tally, demand: Demand) -> None:
    value = DIRECTORY_RECORD + DIRECTORY_MONTH * DIRECTORY_MONTHS
    things = demand.users + demand.teams + demand.organizations
    each = redis_sizes.table(1, DIRECTORY_FIELD + demand.id_length, value) - 2 * redis_sizes.DICT
    hashes = np.minimum(things, demand.organizations * BUCKETS)
    tally.add(
        "r",
        hashes,
        redis_sizes.key(EPOCH_PREFIX + demand.id_length + 4) + 2 * redis_sizes.DICT + each * things / hashes,
    )


def all_kinds(of: Memory, kinds: Sequence[str]) -> float:
    """Return the bytes of some kinds."""
    return sum(of.bytes.get(kind, 0.0) for kind in kinds)


def kept_of(hours_s: float, days_s: float, ids_s: float) -> Kept:
    """Return the days of data held at once: a hash of a day, a month or a week ends behind its last window's end."""
    hour_days, day_days = hours_s / 86_400 + 1, days_s / 86_400 + DAYS_A_MONTH
    return Kept(
        hour_days=hour_days,
        day_days=day_days,
        months=day_days / DAYS_A_MONTH,
        id_days=ids_s / 86_400 + PERIOD_DAYS,
        ledger_days=hour_days,
    )
