"""What is put into parameters, by their names: what is answered, what another organization owns, what is at an edge."""

import random
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from tests.fuzz import world
from tests.fuzz.ranges import edge_range, valid_range

IDS: Final[Mapping[str, tuple[str, ...]]] = {
    "organizationId": (world.ORGANIZATION,),
    "teamId": world.TEAMS,
    "userId": world.USERS,
    "user_id": world.USERS,
    "SlashID-OrgID": (world.ORGANIZATION, *world.SUBORGANIZATIONS),
}
"""Of things that the caller may see."""

FOREIGN: Final[Mapping[str, tuple[str, ...]]] = {
    "organizationId": (world.OTHER_ORGANIZATION,),
    "teamId": world.OTHER_TEAMS,
    "userId": world.OTHER_USERS,
    "user_id": world.OTHER_USERS,
    "SlashID-OrgID": (world.OTHER_ORGANIZATION, world.OTHER_SUBORGANIZATION),
}
"""Of things that are there and that the caller may not see."""

_FILTERS: Final = (
    'name eq "acme labs"',
    'NAME co "A" AND NOT (id sw "x")',
    f'parent_org_id eq "{world.ORGANIZATION}"',
    '(id eq "eu" or id eq "labs") and name sw "\\u0061"',
    'name eq ""',
)
_NO_FILTERS: Final = (
    "",
    " ",
    "name",
    "name eq acme",
    'name gt "a"',
    '((name eq "a")',
    'rank eq "1"',
    'not name eq "a"',
)

# Days are kept 761 days and a month whole or not at all; further back lies the limit of 72 months.
_MONTHS_KEPT: Final = 23
_MONTHS_AT_EDGES: Final = (-1, 0, 24, 25, 26, 72, 73)
_NO_MONTHS: Final = ("2026-00", "2026-13", "0000-01", "9999-12")


def known(rng: random.Random, now_ms: int) -> dict[str, str]:
    """Return values with which every operation answers 200."""
    ids = {name: rng.choice(values) for name, values in IDS.items()}
    others = {"startDate": _month(now_ms, rng.randint(0, _MONTHS_KEPT)), "filter": rng.choice(_FILTERS)}
    return ids | others | valid_range(rng, now_ms).parameters()


def foreign(rng: random.Random, now_ms: int) -> dict[str, str]:
    """Return ids of the other organization, which fit together, with otherwise good values."""
    return known(rng, now_ms) | {name: rng.choice(values) for name, values in FOREIGN.items()}


def edges(rng: random.Random, now_ms: int) -> dict[str, str]:
    """Return values on either side of the rules that a schema cannot say."""
    months = (_month(now_ms, rng.choice(_MONTHS_AT_EDGES)), rng.choice(_NO_MONTHS))
    others = {"startDate": rng.choice(months), "filter": rng.choice(_NO_FILTERS), "If-None-Match": "*"}
    return edge_range(rng, now_ms).parameters() | others


def _month(now_ms: int, back: int) -> str:
    now = datetime.fromtimestamp(now_ms // 1000, UTC)
    months = now.year * 12 + now.month - 1 - back
    return f"{months // 12:04}-{months % 12 + 1:02}"
