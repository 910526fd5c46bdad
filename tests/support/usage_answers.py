"""The query API's usage answers beside the oracle's."""

from collections.abc import Iterable, Iterator
from typing import Any, Final

import httpx

from services.clock import now_ms
from tests.support.oracle import DAY_MS, Oracle, Scope, to_ms, to_text
from tests.support.pipeline import PipelineUnderTest

DAILY_RANGE_MS: Final = 360 * DAY_MS
"""One daily request's range; the API takes 400 days."""

LATE_MS: Final = 3_600_000
"""A block is complete when asOf has passed its end by an hour."""

# What the contract names, product by product: the API serves these and no other counters.
SERVED: Final = {
    "codeCompletions": "activeUsers completions charsCompleted keystrokes lines automationFactor".split(),
    "chat": "activeUsers interactions usefulChatInteractions lines charsCompleted chatConsumptionRate".split(),
    "agent": ("activeUsers interactions linesAdded linesAddedAccepted linesRemoved linesRemovedAccepted".split()),
    "instruct": ["acceptedCount"],
}


def differing_answers(
    pipeline: PipelineUnderTest, counted: Oracle, scopes: Iterable[Scope], begin_ms: int, end_ms: int
) -> list[str]:
    """Ask for each scope's daily, weekly, monthly and `all` blocks; return what differs, as sentences."""
    differences = []
    for scope in scopes:
        with pipeline.client(scope[0]) as client:
            for granularity, start_ms, stop_ms in _requests(begin_ms, end_ms):
                found = ask(client, scope, granularity, start_ms, stop_ms)
                blocks = counted.blocks(scope, granularity, start_ms, stop_ms, now_ms=now_ms())
                differences += _differences(f"{scope} {granularity}", found, [served(block) for block in blocks])
    return differences


def ask(client: httpx.Client, scope: Scope, granularity: str, begin_ms: int, end_ms: int) -> list[dict[str, Any]]:
    """Return the blocks of one answer."""
    organization, team, user = scope
    kind, named = ("team", {"teamId": team}) if team else ("user", {"userId": user}) if user else ("organization", {})
    parameters = {"organizationId": organization, "granularity": granularity} | named
    times = {"from": to_text(begin_ms), "to": to_text(end_ms)}
    answer = client.get(f"/api/v1/{kind}/usage", params=parameters | times)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["asOf"] == answer.headers["Tidemark-As-Of"]
    assert to_ms(body["asOf"]) <= now_ms()
    blocks: list[dict[str, Any]] = body["usage"]["data"]
    for block in blocks:
        assert block.pop("complete") is (to_ms(block["to"]) + LATE_MS <= to_ms(body["asOf"])), block
    return blocks


def served(block: dict[str, Any]) -> dict[str, Any]:
    """Return the oracle's block cut down to what the contract names."""
    products = {name: {each: of[each] for each in SERVED[name] if each in of} for name in SERVED if (of := block[name])}
    return {name: value for name, value in block.items() if name not in SERVED} | products


def _requests(begin_ms: int, end_ms: int) -> Iterator[tuple[str, int, int]]:
    for granularity in ("weekly", "monthly", "all"):
        yield granularity, begin_ms, end_ms
    for start_ms in range(begin_ms, end_ms, DAILY_RANGE_MS):
        yield "daily", start_ms, min(start_ms + DAILY_RANGE_MS, end_ms)


def _differences(name: str, found: list[dict[str, Any]], expected: list[dict[str, Any]]) -> list[str]:
    if len(found) != len(expected):
        return [f"{name}: {len(found)} blocks instead of {len(expected)}"]
    pairs = zip(found, expected, strict=True)
    return [f"{name}: {mine} instead of {theirs}" for mine, theirs in pairs if mine != theirs]
