"""Reads the canary's organization through the query API, as a dashboard would."""

import asyncio
import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Sequence
from http.client import HTTPException
from typing import Any, Final

from services.canary_plan import Reading, Served
from services.clock import now_ms
from services.event_rules import WrongTime, read_time_ms
from services.identifiers import OrganizationId, UserId
from services.metrics_contract import PRODUCTS
from services.settings import Settings
from services.tokens import Claims, Role, issue_token, token_key
from services.windows import HOUR_MS, hour_of, rfc3339

TIMEOUT_S: Final = 3.0
TOKEN_LIFETIME_S: Final = 600


class ApiAway(Exception):
    """The query API does not answer, or refuses; one sentence says why."""


class ApiReader:
    """Asks for an organization's usage by the hour.

    Args:
        settings: of the API's address, and of its tokens where none is given.

    Raises:
        WrongSettings: there is no token, and no secret to make one.
    """

    def __init__(self, settings: Settings, organization: str) -> None:
        api, canary = settings.api, settings.canary
        self._base = (canary.api_url or f"http://{api.host}:{api.port}").rstrip("/")
        self._organization = organization
        self._token = None if canary.api_token is None else canary.api_token.get_secret_value()
        self._key = token_key(api) if canary.api_token is None else None

    async def read(self, hours: range) -> Reading:
        """Return what is counted in these hours.

        Raises:
            ApiAway: there is no answer that could be used.
        """
        return await asyncio.to_thread(self._read, hours)

    def _read(self, hours: range) -> Reading:
        question = urllib.parse.urlencode(
            {
                "organizationId": self._organization,
                "from": rfc3339(hours.start * HOUR_MS),
                "to": rfc3339(hours.stop * HOUR_MS),
                "granularity": "hourly",
            }
        )
        request = urllib.request.Request(  # noqa: S310 -- the setting is http or https
            f"{self._base}/api/v1/organization/usage?{question}", headers={"Authorization": f"Bearer {self._bearer()}"}
        )
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310
                return read_answer(json.load(answer), hours)
        except urllib.error.HTTPError as error:
            error.close()
            raise ApiAway(f"the query API answered {error.code} for {self._organization}") from error
        except (OSError, HTTPException) as error:
            raise ApiAway(f"the query API at {self._base} does not answer: {error}") from error
        except (ValueError, LookupError, TypeError, WrongTime) as error:
            raise ApiAway(f"the query API at {self._base} gave an answer that is none: {error!r}") from error

    def _bearer(self) -> str:
        if self._token is not None:
            return self._token
        assert self._key is not None
        claims = Claims(subject=UserId("canary"), organization=OrganizationId(self._organization), role=Role.ADMIN)
        return issue_token(claims, self._key, issued_s=now_ms() // 1000, lifetime_s=TOKEN_LIFETIME_S)


def read_answer(answer: dict[str, Any], hours: range) -> Reading:
    """Return what a usage answer by the hour says; nothing is counted in an hour that was asked for and is not in it.

    Raises:
        ValueError, LookupError, TypeError: it is none.
    """
    as_of, blocks = answer["asOf"], answer["usage"]["data"]
    return Reading(
        as_of_ms=None if as_of is None else read_time_ms(as_of),
        hours={hour: {} for hour in hours}
        | {hour_of(read_time_ms(block["from"])): _served(block) for block in _checked(blocks)},
    )


def _checked(blocks: Sequence[dict[str, Any]]) -> Sequence[dict[str, Any]]:
    if any(read_time_ms(block["to"]) - read_time_ms(block["from"]) != HOUR_MS for block in blocks):
        raise ValueError("its blocks are no hours")
    return blocks


def _served(block: dict[str, Any]) -> Served:
    return {
        product.name: {name: int(block[product.name][name]) for name in product.counters if name in block[product.name]}
        for product in PRODUCTS
    }
