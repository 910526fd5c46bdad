"""The setting `api.rate_limit`, read: how much who may ask for in a time. Pure; `query_api.limiting` counts."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

_PERIODS_S: Final = {"second": 1, "minute": 60, "hour": 3_600, "day": 86_400}
_REQUESTS_MAX: Final = 1_000_000_000
_RATE: Final = re.compile(r"(\d{1,10})/(second|minute|hour|day)(?: per (token|organization))?", re.ASCII)


class Counted(StrEnum):
    """Whose requests are counted together."""

    TOKEN = "token"  # noqa: S105  (a word, no secret)
    ORGANIZATION = "organization"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """At most `requests` in `period_s` seconds for each token, or each organization."""

    counted: Counted
    requests: int
    period_s: int


def read_rates(text: str) -> Sequence[Rate]:
    """Return the rates of a text such as `20/second per token, 200/second per organization`; tokens' come first.

    A rate that names neither holds for each token and for each organization.

    Raises:
        ValueError: it is no such text; the message is a sentence.
    """
    rates = [rate for part in text.split(",") for rate in _read(part.strip())]
    return sorted(rates, key=lambda rate: rate.counted is Counted.ORGANIZATION)


def _read(part: str) -> list[Rate]:
    match = _RATE.fullmatch(part)
    if match is None or not 1 <= int(match[1]) <= _REQUESTS_MAX:
        raise ValueError(
            "give a rate such as 100/second, or several such as 20/second per token, 200/second per organization"
            " (second, minute, hour or day), or none"
        )
    counted = [Counted(match[3])] if match[3] else list(Counted)
    return [Rate(counted=each, requests=int(match[1]), period_s=_PERIODS_S[match[2]]) for each in counted]
