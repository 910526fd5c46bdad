"""The demonstration: simulated traffic through a running pipeline, and the API's answers beside what was sent."""

import asyncio
import json
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlencode

from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

from services.clock import monotonic_s, now_ms
from services.dead_letter_log import read_dead_letters
from services.demo_tally import Tally, Unequal, compare
from services.event_rules import read_time_ms
from services.identifiers import OrganizationId, UserId
from services.kafka import make_producer, translated
from services.line_keys import organization_key
from services.publishing import UsagePublisher
from services.settings import Settings
from services.simulated_directory import simulate_directory
from services.simulated_faults import with_faults
from services.simulated_population import Profile
from services.simulation import simulate
from services.tokens import Claims, Role, issue_token, token_key
from services.windows import DAY_MS, day_of, rfc3339

EVENTS_PER_SECOND: Final = 2_500
BAD_SHARE: Final = 0.02
SPAN_MS: Final = 9 * DAY_MS
"""Wide enough for the seven days of the demo's traffic and its late events."""

DIRECTORY_SEED: Final = 1
"""Every demo has the same people."""

AS_OF_LIMIT_S: Final = 15.0
_HTTP_TIMEOUT_S: Final = 10.0
_POLL_S: Final = 0.25
_PACE_S: Final = 0.05
_TOKEN_LIFE_S: Final = 3600


class NoAnswer(Exception):
    """The query API did not answer as it should; the message says what came."""


class _Unavailable(NoAnswer):
    """503: a request's time was up, as happens on a busy machine; it may be asked again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The API's answer for one organization beside what was sent.

    Attributes:
        block: the one block of the answer.
        unequal: numbers that are not what was sent.
        as_of_age_s: how old the answer says it is; None when it does not know.
    """

    organization: str
    block: Mapping[str, Any]
    unequal: tuple[Unequal, ...]
    as_of_age_s: float | None


async def send_directory(settings: Settings) -> int:
    """Send who and what the demo's organizations consist of; return how many events that are.

    Raises:
        KafkaUnavailable, KafkaRefused: not all were acknowledged.
    """
    publisher = UsagePublisher(settings.kafka, settings.topics.directory)
    async with publisher:
        for line in simulate_directory(Profile.DEMO, DIRECTORY_SEED, now_ms()):
            await publisher.publish_raw(line, organization_key(line))
    return publisher.acknowledged


async def send_traffic(settings: Settings, tally: Tally, seconds: float) -> None:
    """Send simulated events for some seconds, 2 % of them broken and 2 % twice, and count each as it goes.

    Raises:
        KafkaUnavailable, KafkaRefused: not all were acknowledged.
    """
    producer = make_producer(settings.kafka, linger_ms=10)
    with translated("sending the demo's events"):
        try:
            await producer.start()
            acknowledged = []
            started_s = monotonic_s()
            for number, (line, good) in enumerate(_lines(seconds)):
                key = tally.add_good(line).encode() if good else None
                if not good:
                    tally.add_bad()
                acknowledged.append(await producer.send(settings.topics.events, line, key=key))
                ahead_s = number / EVENTS_PER_SECOND - (monotonic_s() - started_s)
                if ahead_s > _PACE_S:
                    await asyncio.sleep(ahead_s)
            await asyncio.gather(*acknowledged)
        finally:
            await producer.stop()


def _lines(seconds: float) -> Iterator[tuple[bytes, bool]]:
    end_ms = now_ms()
    total = max(1, int(seconds * EVENTS_PER_SECOND))
    return with_faults(simulate(Profile.DEMO, end_ms % 1_000_000, total, end_ms), BAD_SHARE, end_ms)


async def verdicts(settings: Settings, api: str, tally: Tally, since_ms: int) -> list[Verdict]:
    """Ask the API for each organization's usage, once its `asOf` has passed an instant or 15 s later.

    Raises:
        NoAnswer: it does not answer, or with 503 for 15 s.
    """
    deadline_s = monotonic_s() + AS_OF_LIMIT_S
    results = []
    for organization, sent in sorted(tally.organizations.items()):
        request = usage_request(settings, api, organization)
        while True:
            answer = await asyncio.to_thread(ask, request)
            as_of_ms = None if answer["asOf"] is None else read_time_ms(answer["asOf"])
            if (as_of_ms is not None and as_of_ms >= since_ms) or monotonic_s() > deadline_s:
                break
            await asyncio.sleep(_POLL_S)
        (block,) = answer["usage"]["data"]
        age_s = None if as_of_ms is None else (now_ms() - as_of_ms) / 1000
        unequal = tuple(compare(sent, block))
        results.append(Verdict(organization=organization, block=block, unequal=unequal, as_of_age_s=age_s))
    return results


async def dead_letters_by_reason(settings: Settings) -> Counter[str]:
    return Counter([letter.reason or "unknown" async for letter in read_dead_letters(settings)])


def usage_request(settings: Settings, api: str, organization: str) -> urllib.request.Request:
    """Return the call for an organization's usage in one block, with a token that lives for an hour."""
    first_day = day_of(now_ms() - SPAN_MS)
    query = {
        "organizationId": organization,
        "from": rfc3339(first_day * DAY_MS),
        "to": rfc3339((day_of(now_ms()) + 1) * DAY_MS),
        "granularity": "all",
    }
    claims = Claims(subject=UserId("demo"), organization=OrganizationId(organization), role=Role.ADMIN)
    token = issue_token(claims, token_key(settings.api), issued_s=now_ms() // 1000, lifetime_s=_TOKEN_LIFE_S)
    url = f"{api}/api/v1/organization/usage?{urlencode(query)}"
    return urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})  # noqa: S310 -- our own http URL


@retry(
    retry=retry_if_exception_type(_Unavailable),
    stop=stop_after_delay(AS_OF_LIMIT_S),
    wait=wait_fixed(_POLL_S),
    reraise=True,
)
def ask(request: urllib.request.Request) -> dict[str, Any]:
    """Return the members of the API's answer; 503 is asked again for 15 s.

    Raises:
        NoAnswer: there is none.
    """
    try:
        with urllib.request.urlopen(request, timeout=_HTTP_TIMEOUT_S) as answer:  # noqa: S310 -- our own http URL
            members: dict[str, Any] = json.load(answer)
            return members
    except urllib.error.HTTPError as error:
        kind = _Unavailable if error.code == HTTPStatus.SERVICE_UNAVAILABLE else NoAnswer
        raise kind(f"the query API answered {error.code}: {error.read().decode(errors='replace')}") from error
    except (OSError, ValueError) as error:
        raise NoAnswer(f"the query API does not answer: {error}") from error
