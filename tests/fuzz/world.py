"""What the fuzzed API holds: one organization that is asked about, another that must stay hidden."""

import random
from typing import Final

from services.api_keys import ApiKey, KeyHash
from services.metrics_contract import PRODUCTS
from services.redis_api_keys import RedisApiKeyStore
from services.redis_client import connect
from services.redis_counters import RedisCounterStore
from services.settings import RedisSettings
from services.windows import HOUR_MS, HOURS_PER_DAY, rfc3339
from tests.support.api_process import PARTITIONS
from tests.support.counted import Counted, Use
from tests.support.directory_written import DirectoryWritten

ORGANIZATION: Final = "acme"
SUBORGANIZATIONS: Final = {"eu": ORGANIZATION, "labs": ORGANIZATION, "labs of labs": "labs"}
"""By id, the organization above."""

TEAMS: Final = ("core", "team of two", "50%+1", "überblick", "a.b~c_d-e", "#1?&=")
USERS: Final = ("ada", "bo@acme.example", "c d", "Đỗ", "50%", "+e")

OTHER_ORGANIZATION: Final = "globex"
OTHER_SUBORGANIZATION: Final = "globex-eu"
OTHER_TEAMS: Final = ("their core",)
OTHER_USERS: Final = ("zoe",)

_USES: Final = 800
_DAYS_BACK: Final = 700
_MORE_USERS: Final = 40


async def populate(redis_url: str, now_ms: int, api_key: tuple[KeyHash, ApiKey]) -> None:
    """Write usage of the last two years, some of it today, the directory, and an API key."""
    client = connect(RedisSettings(url=redis_url))
    try:
        store = RedisCounterStore(client, PARTITIONS)
        await _usage(now_ms).write(store)
        await _directory(now_ms).write(store)
        await RedisApiKeyStore(client).create(*api_key)
    finally:
        await client.aclose()


def _usage(now_ms: int) -> Counted:
    hour = now_ms // HOUR_MS
    counted = Counted(partitions=PARTITIONS, read_up_to_ms=hour * HOUR_MS)
    rng = random.Random(20)
    for number in range(_USES):
        back = rng.choice((rng.randrange(HOURS_PER_DAY), rng.randrange(_DAYS_BACK * HOURS_PER_DAY)))
        team = rng.choice((TEAMS[number % len(TEAMS)], None))
        counted.add(_use(rng, ORGANIZATION, team, USERS[number % len(USERS)], hour - back))
    for user in OTHER_USERS:
        counted.add(_use(rng, OTHER_ORGANIZATION, OTHER_TEAMS[0], user, hour))
    return counted


def _use(rng: random.Random, organization: str, team: str | None, user: str, hour: int) -> Use:
    product = rng.choice(PRODUCTS)
    amounts = {name: rng.randrange(1_000) for name in product.counters}
    if "usefulChatInteractions" in amounts:
        amounts["usefulChatInteractions"] = amounts["interactions"] // 2
    return Use(
        organization=organization,
        team=team,
        user=user,
        hour=hour,
        product=product,
        amounts=amounts,
    )


def _directory(now_ms: int) -> DirectoryWritten:
    written = DirectoryWritten(partitions=PARTITIONS, read_up_to_ms=now_ms)
    written.organization(
        ORGANIZATION, tier="professional", planType="Enterprise", samlEnabled=True, domains=["acme.test"]
    )
    for organization, above in SUBORGANIZATIONS.items():
        written.organization(organization, parentId=above, name=f"acme {organization}")
        written.user(organization, f"member of {organization}", email="member@acme.test")
        written.group(organization, "group")
    written.license(ORGANIZATION, "license", seats=200, seatsCap=250, features=["chat"], settings={"chatModel": {}})
    for number, team in enumerate(TEAMS):
        written.team(ORGANIZATION, team, isDefaultTeam=number == 0)
    roles = ("Admin", "Manager", "TeamLead", "Member")
    for number, user in enumerate((*USERS, *(f"user-{number}" for number in range(_MORE_USERS)))):
        in_team = {"teamId": TEAMS[number % len(TEAMS)]} if number % 5 else {}
        written.user(
            ORGANIZATION,
            user,
            role=roles[min(number, 3)],
            email=f"{number}@acme.test",
            createdAt=rfc3339(now_ms),
            **in_team,
        )
    written.user(ORGANIZATION, "gone", status="deactivated", deactivatedAt=rfc3339(now_ms), time=rfc3339(now_ms))
    written.user(ORGANIZATION, "coming", status="invited", teamId=TEAMS[0])
    written.organization(OTHER_ORGANIZATION)
    written.organization(OTHER_SUBORGANIZATION, parentId=OTHER_ORGANIZATION)
    for team in OTHER_TEAMS:
        written.team(OTHER_ORGANIZATION, team)
    for user in OTHER_USERS:
        written.user(OTHER_ORGANIZATION, user, teamId=OTHER_TEAMS[0])
    return written
