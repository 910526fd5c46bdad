"""Is a record good? Written a second time, from design.md, with the standard library and without regard to speed."""

import json
import math
import re
from datetime import datetime, timedelta
from typing import Any

COUNTERS = {
    "usage.code_completion": "completions charsCompleted keystrokes lines suggestions",
    "usage.chat": "interactions usefulChatInteractions messages lines linesAdded charsCompleted inputTokens"
    " outputTokens costMicros",
    "usage.agent": "interactions messages linesAdded linesAddedAccepted linesRemoved linesRemovedAccepted inputTokens"
    " outputTokens costMicros",
    "usage.instruct": "acceptedCount",
}
TEXTS = {
    "usage.code_completion": "language ide model",
    "usage.chat": "language ide model",
    "usage.agent": "language ide model agentType",
    "usage.instruct": "",
}
EPOCH, FIRST, LAST = (datetime.fromisoformat(text) for text in ("1970-01-01", "0001-01-01", "9999-12-31T23:59:59"))
REQUIRED = ("specversion", "id", "source", "type", "time", "subject", "organizationid")
OPTIONAL = ("teamid", "datacontenttype", "dataschema", "traceparent", "tracestate")


def is_good(value: bytes, broker_ms: int, *, ignore_unknown: bool, max_age_ms: int | None, max_ahead_ms: int) -> bool:
    try:
        event = json.loads(
            value.decode(), object_pairs_hook=_no_duplicates, parse_constant=_refuse, parse_float=_finite
        )
        json.dumps(event, ensure_ascii=False).encode()
        time_ms = _check(event, ignore_unknown)
    except (ValueError, RecursionError, AssertionError):
        return False
    young = max_age_ms is None or time_ms >= broker_ms - max_age_ms
    return young and time_ms <= broker_ms + max_ahead_ms


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    assert len(members) == len(pairs)
    return members


def _refuse(_: str) -> None:
    raise ValueError


def _finite(text: str) -> float:
    assert math.isfinite(float(text))
    return float(text)


def _check(event: Any, ignore_unknown: bool) -> int:
    assert isinstance(event, dict)
    assert _depth(event) <= 16
    assert all(isinstance(event.get(name), str) for name in REQUIRED)
    assert all(event.get(name) is None or isinstance(event[name], str) for name in OPTIONAL)
    assert event["specversion"] == "1.0"
    for name in ("id", "source"):
        assert 1 <= len(event[name]) <= 256
        assert not any(_is_control(character) for character in event[name])
    for name in ("subject", "organizationid", "teamid"):
        text = event.get(name)
        if text is None:
            continue
        assert 1 <= len(text) <= 128
        assert not any(_is_control(character) or character == "/" for character in text)
        assert text not in ("usage", "account-utilizations", "agent-usage")
    kind, data = event["type"], event.get("data")
    assert kind in COUNTERS
    assert isinstance(data, dict)
    counters, texts = COUNTERS[kind].split(), TEXTS[kind].split()
    if not ignore_unknown:
        assert set(event) <= {*REQUIRED, *OPTIONAL, "data"}
        assert set(data) <= {*counters, *texts}
    assert all(type(data.get(name, 0)) is int and 0 <= data.get(name, 0) < 2**31 for name in counters)
    assert all(isinstance(data.get(name, ""), str) and len(data.get(name, "")) <= 64 for name in texts)
    return _time_ms(event["time"])


def _is_control(character: str) -> bool:
    return ord(character) < 32 or 127 <= ord(character) < 160


def _depth(value: Any) -> int:
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if parts is None else 1 + max((_depth(part) for part in parts), default=0)


def _time_ms(text: str) -> int:
    digits = "[0-9]"
    assert re.fullmatch(
        rf"{digits}{{4}}-{digits}{{2}}-{digits}{{2}}T{digits}{{2}}:{digits}{{2}}:{digits}{{2}}(\.{digits}+)?"
        rf"(Z|[+-]{digits}{{2}}:{digits}{{2}})",
        text.upper(),
    )
    local = datetime.fromisoformat(text[:19].upper())
    rest = text[19:].upper()
    zone = "+00:00" if rest.endswith("Z") else rest[-6:]
    assert int(zone[1:3]) < 24
    assert int(zone[4:]) < 60
    fraction = rest.removesuffix("Z") if rest.endswith("Z") else rest[:-6]
    ahead = timedelta(hours=int(zone[1:3]), minutes=int(zone[4:])) * (-1 if zone[0] == "-" else 1)
    since = local - EPOCH - ahead
    whole_ms = (since.days * 86_400 + since.seconds) * 1000
    assert FIRST - EPOCH <= since <= LAST - EPOCH
    return whole_ms + int((fraction[1:] + "000")[:3])
