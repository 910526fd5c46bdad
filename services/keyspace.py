"""Every Redis key is made here, and nothing else decides where a thing lies.

Layout, with `{tag}` the hash tag of the organization's partition and `e1` the epoch::

    tm:partitions                               string  P of the deployment, set once
    tm:rollbacks                                string  times that Redis lost writes (services.redis_rollbacks)
    tm:api-keys                                 hash  API keys (services.api_keys): SHA-256 -> the rest, as JSON
    tm:rates:{WHOSE}, tm:rates:{WHOSE}/-1       string  requests in this window and the last (services.redis_rates)
    tm:shadow-run                               string  whose run of verify or rebuild it is (services.redis_shadows)
    tm:shadow-epoch                             string  the last epoch that such a run took
    tm:{tag}:state                              hash  progress of the partition (services.counters.PartitionState)
    tm:{tag}:shadow                             hash  the same of an epoch that is being made beside the live one
    tm:{tag}:e1:h:ORG[/t/TEAM|/u/USER]/DAY      hash  hour counters of one day, one field a (hour, product)
    tm:{tag}:e1:d:ORG[/t/TEAM|/u/USER]/MONTH    hash  day counters of one month, one field a (day, product)
    tm:{tag}:e1:ha:ORG[/t/TEAM]/DAY             hash  bitmaps of the users active in an hour, same fields
    tm:{tag}:e1:da:ORG[/t/TEAM]/MONTH           hash  bitmaps of the users active in a day, same fields
    tm:{tag}:e1:i:ORG[/t/TEAM]                  hash  user index: user -> ordinal; field "/count": how many
    tm:{tag}:e1:x:PERIOD                        hash  dedup index of a period: generation -> "ranges:count"
    tm:{tag}:e1:x:PERIOD/GENERATION/RANGE       set   signed 64-bit identity hashes
    tm:{tag}:e1:l:TOPIC/PARTITION/DAY           hash  ledger of one source partition, one field an hour
    tm:{tag}:e1:r:UNIT/BUCKET                   hash  directory records (services.directory_records): "u/USER" -> record
    tm:{tag}:e1:rv                              hash  unit -> its revision (services.directory_revision)

A unit of the directory is an organization with its teams, users, groups and licences ("t/", "u/", "g/", "l/"), or the
tree of all organizations ("o/"), whose unit is named `/` and lies in partition 0. Its records are spread over 64
buckets, so that a large one can be read in parts; the revision counts the events that changed it, and the last of these
is told by its record's offset and time: a store that was begun anew, without the first frames, counts from 1 again.

Ids may hold no `/`, which parts them here; `%` and `/` are escaped all the same, so that different ids never give
one key. A field is the decimal number `place * 4 + product`, place being the hour of the day or the day of the
month from 0: at most 124 fields, so that a hash of small values stays a listpack of 128 (ADR 0005).

What may change of this under one `LAYOUT`, and how that is raised, says ADR 0031.
"""

import binascii
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import Final, NamedTuple
from zlib import crc32

from services.directory import Thing
from services.identifiers import Epoch, OrganizationId, PartitionId, TeamId, UserId
from services.metrics_contract import PRODUCTS
from services.windows import Window, day_of_month, month_of_day

LAYOUT: Final = 1
LAYOUTS_READ: Final = (LAYOUT,)
"""Of an epoch's keys and of what lies under them; the state says which. A state that does not say is of the first."""

PREFIX: Final = "tm:"
PARTITIONS_KEY: Final = f"{PREFIX}partitions"
ROLLBACKS_KEY: Final = f"{PREFIX}rollbacks"
API_KEYS_KEY: Final = f"{PREFIX}api-keys"
SHADOW_RUN_KEY: Final = f"{PREFIX}shadow-run"
SHADOW_EPOCH_KEY: Final = f"{PREFIX}shadow-epoch"
RATES_PREFIX: Final = f"{PREFIX}rates"
"""Without a colon: the library of rate limits puts one behind it."""

SLOTS: Final = 16_384
COUNT_FIELD: Final = b"/count"
"""Field of a user index that holds the number of its users; no user id can hold `/`."""

FIELDS_MAX: Final = 31 * len(PRODUCTS)

TREE: Final = "/"
"""The unit of the organizations themselves; no id can hold `/`."""

BUCKETS: Final = 64
"""Hashes of a directory unit: a million records are 16,000 a hash, within what one call reads."""


class Kind(Enum):
    """The first part of a counter key: what it holds and of which window."""

    HOURS = "h"
    DAYS = "d"
    ACTIVE_HOURS = "ha"
    ACTIVE_DAYS = "da"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Whose counters: an organization's, one of its teams', or one of its users'. Never team and user at once."""

    organization: OrganizationId
    team: TeamId | None = None
    user: UserId | None = None


class CounterKey(NamedTuple):
    """What a counter key names, read back from it; `period` is a day (hour kinds) or a month (day kinds)."""

    kind: Kind
    scope: Scope
    period: int


def partition_of(organization: str, partitions: int) -> PartitionId:
    """Return the partition of `usage.frames`, and so the hash tag, that owns an organization."""
    return PartitionId(crc32(organization.encode()) % partitions)


@lru_cache(maxsize=4)
def tags(partitions: int) -> tuple[str, ...]:
    """Return the hash tag of each partition, spread evenly over the slots of a Redis Cluster.

    Partition p's tag is `p` or `p-N` with the smallest N whose slot lies in the p-th of P equal shares of the slots.
    """

    def tag(partition: int) -> str:
        suffix = 0
        while True:
            name = f"{partition}-{suffix}" if suffix else str(partition)
            if binascii.crc_hqx(name.encode(), 0) % SLOTS * partitions // SLOTS == partition:
                return name
            suffix += 1

    return tuple(tag(partition) for partition in range(partitions))


def escape(part: str) -> str:
    """Return an id as it stands in a key; `unescape` gives it back."""
    if "%" in part or "/" in part:
        return part.replace("%", "%25").replace("/", "%2F")
    return part


def unescape(part: str) -> str:
    return part.replace("%2F", "/").replace("%25", "%")


def state_key(tag: str) -> str:
    return f"{PREFIX}{{{tag}}}:state"


def shadow_key(tag: str) -> str:
    """Return the key of the state of an epoch that is being made beside the live one."""
    return f"{PREFIX}{{{tag}}}:shadow"


def slot_prefix(tag: str) -> str:
    """Return what every key of one partition begins with."""
    return f"{PREFIX}{{{tag}}}:"


def epoch_prefix(tag: str, epoch: Epoch) -> str:
    """Return what every key of one epoch of one partition begins with."""
    return f"{PREFIX}{{{tag}}}:e{epoch}:"


def epoch_of(key: str, tag: str) -> Epoch | None:
    """Return the epoch that a key of a partition belongs to, None for one that belongs to none."""
    part, colon, _ = key.removeprefix(slot_prefix(tag)).partition(":")
    number = part.removeprefix("e")
    return Epoch(int(number)) if colon and number != part and number.isascii() and number.isdigit() else None


def scope_part(scope: Scope) -> str:
    """Return the part of a counter key between kind and period."""
    organization = escape(scope.organization)
    if scope.team is not None:
        return f"{organization}/t/{escape(scope.team)}"
    if scope.user is not None:
        return f"{organization}/u/{escape(scope.user)}"
    return organization


def counter_key(prefix: str, kind: Kind, scope: Scope, period: int) -> str:
    """Return a counter key; `prefix` is the `epoch_prefix`, `period` a day (hour kinds) or a month (day kinds)."""
    return f"{prefix}{kind.value}:{scope_part(scope)}/{period}"


def index_key(prefix: str, scope: Scope) -> str:
    """Return the key of an organization's or a team's user index."""
    return f"{prefix}i:{scope_part(scope)}"


def ids_key(prefix: str, period: int) -> str:
    return f"{prefix}x:{period}"


def ledger_key(prefix: str, topic: str, partition: int, day: int) -> str:
    return f"{prefix}l:{escape(topic)}/{partition}/{day}"


def unit_of(thing: Thing, organization: str) -> str:
    """Return the unit of the directory that a thing of an organization lies in."""
    return TREE if thing is Thing.ORGANIZATION else organization


def partition_of_unit(unit: str, partitions: int) -> PartitionId:
    """Return the partition that owns a unit of the directory: the tree lies in partition 0."""
    return PartitionId(0) if unit == TREE else partition_of(unit, partitions)


def directory_field(thing: Thing, subject: str) -> str:
    return f"{thing.value}/{subject}"


def directory_bucket(field: str) -> int:
    """Return the bucket of its unit that a directory field lies in."""
    return crc32(field.encode()) % BUCKETS


def directory_key(prefix: str, unit: str, bucket: int) -> str:
    return f"{prefix}r:{escape(unit)}/{bucket}"


def revisions_key(prefix: str) -> str:
    return f"{prefix}rv"


def counter_field(place: int, product: int) -> int:
    """Return the number of a counter field; `place` is the hour of the day or the day of the month, from 0."""
    return place * len(PRODUCTS) + product


def period_and_place(window: Window, number: int) -> tuple[int, int]:
    """Return the period (day or month) that an hour or day window's fields lie in, and its place there."""
    match window:
        case Window.HOUR:
            return number // 24, number % 24
        case Window.DAY:
            return month_of_day(number), day_of_month(number)


def parse_counter_key(key: str, prefix: str) -> CounterKey | None:
    """Return what a key names, or None when it is no counter key of this epoch."""
    if not key.startswith(prefix):
        return None
    kind_text, _, rest = key.removeprefix(prefix).partition(":")
    try:
        kind = Kind(kind_text)
    except ValueError:
        return None
    match [unescape(part) for part in rest.split("/")]:
        case [organization, period]:
            scope = Scope(organization=OrganizationId(organization))
        case [organization, "t", team, period]:
            scope = Scope(organization=OrganizationId(organization), team=TeamId(team))
        case [organization, "u", user, period]:
            scope = Scope(organization=OrganizationId(organization), user=UserId(user))
        case _:
            return None
    return CounterKey(kind, scope, int(period))
