"""What the right answer is: the whole contract restated from its text, folded by brute force.

Standard library only, and nothing of the product: where both make the same mistake, it was made twice. Everything is
derived from hour cells; days, weeks and ranges are sums of hours and unions of user sets.
"""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS
COUNTERS: Final = {
    "codeCompletions": ("completions", "charsCompleted", "keystrokes", "lines", "suggestions"),
    "chat": (
        "interactions usefulChatInteractions messages lines linesAdded charsCompleted"
        " inputTokens outputTokens costMicros"
    ).split(),
    "agent": (
        "interactions messages linesAdded linesAddedAccepted linesRemoved linesRemovedAccepted"
        " inputTokens outputTokens costMicros"
    ).split(),
    "instruct": ("acceptedCount",),
}
PRODUCT_OF_TYPE: Final = {
    "usage.code_completion": "codeCompletions",
    "usage.chat": "chat",
    "usage.agent": "agent",
    "usage.instruct": "instruct",
}
TEXTS: Final = {
    "codeCompletions": {"language", "ide", "model"},
    "chat": {"language", "ide", "model"},
    "agent": {"language", "ide", "model", "agentType"},
    "instruct": set[str](),
}
REQUIRED: Final = {"specversion", "id", "source", "type", "time", "subject", "organizationid", "data"}
OPTIONAL: Final = {"teamid", "datacontenttype", "dataschema", "traceparent", "tracestate"}
RESERVED: Final = {"usage", "account-utilizations", "agent-usage"}
GRANULARITIES: Final = ("hourly", "daily", "weekly", "monthly", "all")

_TIME = re.compile(r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d+))?(?:[Zz]|([+-])(\d\d):(\d\d))", re.ASCII)
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Row = dict[str, Any]
Scope = tuple[str, str | None, str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What depends on settings; an age of None is unlimited."""

    max_age_ms: int | None = 35 * DAY_MS
    max_ahead_ms: int = 5 * 60_000
    max_bytes: int = 65_536


@dataclass(slots=True)
class Cell:
    """Sums of one product in one hour of one scope, and the users whose leading counts made them active."""

    sums: list[int]
    active: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Event:
    """A good event, as far as counting goes."""

    identity: tuple[str, str, str]
    team: str | None
    user: str
    product: str
    time_ms: int
    amounts: tuple[int, ...]


def read_event(line: bytes, broker_ms: int | None = None, limits: Limits = Limits()) -> Event | None:
    """Return the event in a record's value, None when the contract refuses it.

    Without a broker time the event's age is not judged.
    """
    try:
        event = _checked(line, limits)
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    if event is not None and broker_ms is not None:
        too_old = limits.max_age_ms is not None and event.time_ms < broker_ms - limits.max_age_ms
        if too_old or event.time_ms > broker_ms + limits.max_ahead_ms:
            return None
    return event


def _checked(line: bytes, limits: Limits) -> Event | None:
    if len(line) > limits.max_bytes:
        return None
    e = json.loads(line.decode("utf-8"), object_pairs_hook=_no_key_twice, parse_constant=_no_constant)
    if not isinstance(e, dict) or not REQUIRED <= e.keys() <= REQUIRED | OPTIONAL:
        return None
    if e["specversion"] != "1.0" or not all(isinstance(e[name], str) for name in e if name != "data"):
        return None
    for name in ("id", "source"):
        if not 1 <= len(e[name]) <= 256 or _CONTROL.search(e[name]):
            return None
    for name in ("subject", "organizationid", "teamid"):
        text = e.get(name, "absent")
        if not 1 <= len(text) <= 128 or _CONTROL.search(text) or "/" in text or text in RESERVED:
            return None
    product = PRODUCT_OF_TYPE[e["type"]]
    amounts = {name: e["data"][name] for name in e["data"].keys() - TEXTS[product]}
    texts = [e["data"][name] for name in e["data"].keys() & TEXTS[product]]
    if not amounts.keys() <= set(COUNTERS[product]) or not all(
        isinstance(text, str) and len(text) <= 64 for text in texts
    ):
        return None
    if not all(type(amount) is int and 0 <= amount < 2**31 for amount in amounts.values()):
        return None
    return Event(
        (e["organizationid"], e["source"], e["id"]),
        e.get("teamid"),
        e["subject"],
        product,
        to_ms(e["time"]),
        tuple(amounts.get(name, 0) for name in COUNTERS[product]),
    )


def _no_key_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({name for name, _ in pairs}) != len(pairs):
        raise ValueError("a key comes twice")
    return dict(pairs)


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def to_ms(text: str) -> int:
    """Return an RFC 3339 text with offset as milliseconds since 1970, rounded down."""
    found = _TIME.fullmatch(text)
    if found is None:
        raise ValueError(f"no RFC 3339 with offset: {text!r}")
    year, month, day, hour, minute, second = (int(found[group]) for group in range(1, 7))
    moment = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    if found[8]:
        away = timedelta(hours=int(found[9]), minutes=int(found[10]))
        moment += away if found[8] == "-" else -away
    milliseconds = int((found[7] or "").ljust(3, "0")[:3])
    return (moment - _EPOCH) // timedelta(milliseconds=1) + milliseconds


def to_text(instant_ms: int) -> str:
    """Return whole seconds as RFC 3339 in UTC."""
    return (_EPOCH + timedelta(milliseconds=instant_ms)).strftime("%Y-%m-%dT%H:%M:%SZ").rjust(20, "0")


class Oracle:
    """Counts lines in their order; ask it for the export's rows and the API's blocks."""

    def __init__(self, lines: Iterable[bytes] = (), broker_ms: int | None = None, limits: Limits = Limits()) -> None:
        self.good = self.copies = self.bad = 0
        # By organization and source: ten million identities as tuples would take twice the memory.
        self._first_ms: dict[tuple[str, str], dict[str, int]] = {}
        self._hours: dict[Scope, dict[int, dict[str, Cell]]] = {}
        for line in lines:
            self.add(line, broker_ms, limits)

    def add(self, line: bytes, broker_ms: int | None = None, limits: Limits = Limits()) -> Event | None:
        """Count one line: a good event once, nothing for a copy or a bad one. Return the event if it was counted."""
        event = read_event(line, broker_ms, limits)
        if event is None:
            self.bad += 1
            return None
        organization, source, name = event.identity
        firsts = self._first_ms.setdefault((organization, source), {})
        first_ms = firsts.get(name)
        if first_ms is None:
            firsts[name] = event.time_ms
            self.good += 1
            self._count(event)
            return event
        if abs(event.time_ms - first_ms) > DAY_MS:
            raise ValueError(f"the contract does not say what {event.identity} is, more than 24 h from its first")
        self.copies += 1
        return None

    def _count(self, event: Event) -> None:
        organization = event.identity[0]
        scopes: list[Scope] = [(organization, None, None), (organization, None, event.user)]
        if event.team is not None:
            scopes.append((organization, event.team, None))
        for scope in scopes:
            products = self._hours.setdefault(scope, {}).setdefault(event.time_ms // HOUR_MS, {})
            cell = products.get(event.product)
            if cell is None:
                cell = products[event.product] = Cell([0] * len(event.amounts))
            cell.sums = [a + b for a, b in zip(cell.sums, event.amounts, strict=True)]
            if event.amounts[0] >= 1:
                cell.active.add(event.user)

    def scopes(self) -> list[Scope]:
        """Return every (organization, team, user) that has a cell, ordered as rows are."""
        return sorted(self._hours, key=lambda scope: (scope[0], scope[1] or "", scope[2] or ""))

    def span_ms(self) -> tuple[int, int]:
        """Return the begin of the first hour that has a cell, and the end of the last."""
        hours = [hour for of_scope in self._hours.values() for hour in of_scope]
        return min(hours) * HOUR_MS, (max(hours) + 1) * HOUR_MS

    def rows(self) -> Iterator[Row]:
        """Yield what `counters export` prints, in its order."""
        for scope in self.scopes():
            hours = self._hours[scope]
            days: dict[int, list[int]] = {}
            for hour in sorted(hours):
                days.setdefault(hour // 24, []).append(hour)
            for day, of_day in days.items():
                yield _row(scope, "day", day * DAY_MS, self._metrics(scope, of_day))
            for hour in sorted(hours):
                yield _row(scope, "hour", hour * HOUR_MS, self._metrics(scope, [hour]))

    def blocks(
        self, scope: Scope, granularity: str, from_ms: int, to_ms: int, *, widen_to_ms: int = HOUR_MS, now_ms: int
    ) -> list[Row]:
        """Return the API's blocks over [from, to) widened outward, with every counter and the factors.

        Blocks at the edges are cut to the widened range; those that begin after now are left out.
        """
        begin, end = from_ms // widen_to_ms * widen_to_ms, -(-to_ms // widen_to_ms) * widen_to_ms
        blocks = []
        start = begin
        while start < end and start <= now_ms:
            stop = end if granularity == "all" else min(end, _next_start(granularity, start))
            blocks.append(self._block(scope, start, stop))
            start = stop
        return blocks

    def _block(self, scope: Scope, start: int, stop: int) -> Row:
        hours = [hour for hour in self._hours.get(scope, {}) if start <= hour * HOUR_MS < stop]
        block = _with_every_product(self._metrics(scope, hours))
        completions, chat = block["codeCompletions"], block["chat"]
        written, typed = completions["charsCompleted"], completions["keystrokes"]
        factors = (
            (block, "productivityFactor", written + chat["charsCompleted"], typed),
            (completions, "automationFactor", written, typed),
            (chat, "chatConsumptionRate", chat["usefulChatInteractions"], chat["interactions"]),
        )
        for target, name, part, rest in factors:
            whole = rest if name == "chatConsumptionRate" else part + rest
            if whole:
                target[name] = half_up(part, whole)
        return {"from": to_text(start), "to": to_text(stop)} | block

    def _metrics(self, scope: Scope, hours: Iterable[int]) -> Row:
        cells = [self._hours[scope][hour] for hour in hours]
        metrics: Row = {}
        everyone: set[str] = set()
        for product, names in COUNTERS.items():
            of_product = [cell[product] for cell in cells if product in cell]
            if of_product:
                active = set[str]().union(*(cell.active for cell in of_product))
                everyone |= active
                sums = [sum(column) for column in zip(*(cell.sums for cell in of_product), strict=True)]
                metrics[product] = {"activeUsers": len(active)} | dict(zip(names, sums, strict=True))
        return {"activeUsers": len(everyone)} | metrics


def _row(scope: Scope, window: str, start_ms: int, metrics: Row) -> Row:
    organization, team, user = scope
    return {
        "organization": organization,
        "team": team,
        "user": user,
        "window": window,
        "start": to_text(start_ms),
        "metrics": metrics,
    }


def _with_every_product(metrics: Row) -> Row:
    zeros = {product: dict.fromkeys(("activeUsers", *names), 0) for product, names in COUNTERS.items()}
    return zeros | metrics


def _next_start(granularity: str, start_ms: int) -> int:
    """Return where the next aligned hour, day, ISO week or month begins."""
    day = start_ms // DAY_MS
    match granularity:
        case "hourly":
            return (start_ms // HOUR_MS + 1) * HOUR_MS
        case "daily":
            return (day + 1) * DAY_MS
        case "weekly":
            return (day - (day + 3) % 7 + 7) * DAY_MS
        case "monthly":
            moment = _EPOCH + timedelta(days=day)
            following = datetime(moment.year + moment.month // 12, moment.month % 12 + 1, 1, tzinfo=UTC)
            return (following - _EPOCH).days * DAY_MS
        case _:
            raise ValueError(granularity)


def half_up(part: int, whole: int) -> float:
    """Return part/whole to three decimals, a half rounded up."""
    return (2000 * part + whole) // (2 * whole) / 1000
