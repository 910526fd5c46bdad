"""Good lines made bad, each in one known way, with the reason code that the dead letter must carry.

Built by editing the line's own bytes or its parsed form, never through the product. A null record is not here, since a
line cannot be one.
"""

import json
import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

Event = dict[str, Any]

TOO_LARGE_BYTES: Final = 65_537
TOO_MANY_LEVELS: Final = 200


@dataclass(frozen=True, slots=True)
class Line:
    """A line to publish; `reason` is None for a good one."""

    value: bytes
    reason: str | None = None


def ways() -> list[tuple[str, Callable[[Event], bytes]]]:
    """Return (reason code, what breaks an event so) pairs; a reason may come several times."""
    return [
        ("not_utf8", lambda e: _text(e).replace(b'"specversion"', b'"specversion\xff"', 1)),
        ("not_utf8", lambda e: _set(e, "subject", "x\udcff")),
        ("not_json", lambda e: _text(e)[:-1]),
        ("not_json", lambda e: _text(e) + b"}"),
        ("not_json", lambda _: b"this is no JSON"),
        ("duplicate_key", lambda e: _text(e)[:-1] + b',"specversion":"1.0"}'),
        ("duplicate_key", lambda e: _text(e).replace(b'"data":{', b'"data":{"language":"go","language":"go",', 1)),
        ("not_an_object", lambda e: b"[" + _text(e) + b"]"),
        ("not_an_object", lambda _: b'"a text"'),
        ("too_large", lambda e: _text(e).ljust(TOO_LARGE_BYTES)),
        ("too_deep", lambda e: _text(e)[:-1] + b',"extra":' + b"[" * TOO_MANY_LEVELS + b"]" * TOO_MANY_LEVELS + b"}"),
        *[("missing_attribute", _without(name)) for name in (*_REQUIRED, "data")],
        ("wrong_type", lambda e: _set(e, "specversion", "0.3")),
        ("wrong_type", lambda e: _set(e, "id", 17)),
        ("wrong_type", lambda e: _set(e, "time", "yesterday")),
        ("wrong_type", lambda e: _set(e, "time", e["time"].replace("-", "/", 2))),
        ("wrong_type", lambda e: _set_leading(e, "1")),
        ("wrong_type", lambda e: _set_leading(e, True)),
        ("wrong_type", lambda e: _set_leading(e, None)),
        *[("empty_id", _setting(name, "")) for name in ("id", "source", "subject", "organizationid", "teamid")],
        *[("id_too_long", _setting(name, "x" * 257)) for name in ("id", "source")],
        *[("id_too_long", _setting(name, "x" * 129)) for name in ("subject", "organizationid", "teamid")],
        *[("bad_id", _setting(name, "a/b")) for name in ("subject", "organizationid", "teamid")],
        *[("bad_id", _setting(name, "a\u0000b")) for name in ("id", "subject", "organizationid", "teamid")],
        *[("reserved_id", _setting("teamid", name)) for name in ("usage", "account-utilizations", "agent-usage")],
        ("unknown_type", lambda e: _set(e, "type", "usage.telepathy")),
        ("unknown_field", lambda e: _set(e, "colour", "blue")),
        ("unknown_field", lambda e: _set(e, "data", e["data"] | {"vibes": 3})),
        ("negative", lambda e: _set_leading(e, -1)),
        ("too_big", lambda e: _set_leading(e, 2**31)),
        ("too_big", lambda e: _set_leading(e, 10**30)),
        ("not_an_integer", lambda e: _set_leading(e, 1.5)),
        ("not_a_number", lambda e: _set_leading(e, float("nan"))),
        ("not_a_number", lambda e: _set_leading(e, float("inf"))),
        ("time_without_offset", lambda e: _set(e, "time", e["time"][:19])),
        ("in_the_future", lambda e: _set(e, "time", "9998-01-01T00:00:00Z")),
    ]


def too_old(event: Event) -> bytes:
    """Break an event by its age, for runs in which the age limit holds."""
    return _set(event, "time", "1990-01-01T00:00:00Z")


def mix(lines: Iterable[bytes], seed: int, share: float = 0.05, *, age_limit: bool = True) -> Iterator[Line]:
    """Yield the lines in order, about `share` of them broken instead, every way in turn from a seeded start.

    A broken line gets an id of its own, so that it takes the place of no good event.
    """
    draw = random.Random(seed)
    turn = [*ways(), ("too_old", too_old)] if age_limit else ways()
    draw.shuffle(turn)
    broken = 0
    for line in lines:
        if draw.random() >= share:
            yield Line(line)
            continue
        reason, break_it = turn[broken % len(turn)]
        broken += 1
        yield Line(break_it(json.loads(line) | {"id": f"broken-{seed}-{broken}"}), reason)


_REQUIRED: Final = ("specversion", "id", "source", "type", "time", "subject", "organizationid")


def _text(event: Event) -> bytes:
    # A lone surrogate such as \udcff stands for the byte 0xff, which is no UTF-8.
    return json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogateescape")


def _set(event: Event, name: str, value: object) -> bytes:
    return _text(event | {name: value})


def _setting(name: str, value: object) -> Callable[[Event], bytes]:
    return lambda event: _set(event, name, value)


def _without(name: str) -> Callable[[Event], bytes]:
    return lambda event: _text({key: value for key, value in event.items() if key != name})


def _set_leading(event: Event, value: object) -> bytes:
    leading = next(iter(event["data"]))
    return _set(event, "data", event["data"] | {leading: value})
