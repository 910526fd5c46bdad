"""The load of a fault test, from a seed: good events, copies of every kind, old and bad ones."""

import json
import random
from collections import OrderedDict, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from services.clock import now_ms
from services.simulated_faults import FAULTS
from services.simulated_population import Profile
from services.simulation import COPIES_FROM, simulate
from tests.support.oracle import to_ms, to_text

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS

COPY_SHARE = 0.02
"""Of each kind of copy: same record again, same id in another partition, same id hours apart in `time`."""

BAD_SHARE = 0.01
OLD_SHARE = 0.005


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """One record to publish."""

    partition: int
    value: bytes
    key: bytes | None = None
    headers: Sequence[tuple[str, bytes]] = ()


def seeded_load(seed: int, events: int, partitions: int, *, end_ms: int | None = None) -> list[Planned]:
    """Return somewhat more records than `events`, in the order in which they are to be published.

    The first of an id and its copies at another time lie in one partition, so that which one counts is certain.

    Args:
        partitions: of `usage.events`.
        end_ms: no good event's `time` is later; now if None.
    """
    return list(planned_stream(seed, events, partitions, end_ms=now_ms() if end_ms is None else end_ms))


def planned_stream(seed: int, events: int, partitions: int, *, end_ms: int) -> Iterator[Planned]:
    """Yield what `seeded_load` returns, for a load that memory does not hold."""
    rng = random.Random(seed)
    later: deque[Planned] = deque()
    firsts: OrderedDict[bytes, int] = OrderedDict()
    number = 0
    for line in simulate(Profile.DEMO, seed, events, end_ms):
        home = Planned(partition=rng.randrange(partitions), value=line, key=str(number).encode())
        first = _first_partition(firsts, home)
        yield home
        number += 1
        draw = rng.random()
        if draw < COPY_SHARE:
            later.append(home)
        elif draw < 2 * COPY_SHARE:
            later.append(Planned(partition=rng.randrange(partitions), value=line))
        elif draw < 3 * COPY_SHARE:
            later.append(Planned(partition=first, value=_hours_apart(line, rng)))
        elif draw < 3 * COPY_SHARE + BAD_SHARE:
            bad = rng.choice(FAULTS)(line)
            later.append(Planned(partition=home.partition, value=bad, headers=[("x-trace", b"\x00\xff")]))
        elif draw < 3 * COPY_SHARE + BAD_SHARE + OLD_SHARE:
            later.append(Planned(partition=home.partition, value=_changed(line, id=f"old{number}", days=-40)))
        if later and rng.random() < 3 * COPY_SHARE:
            yield later.popleft()
            number += 1
    yield from later


def _first_partition(firsts: OrderedDict[bytes, int], planned: Planned) -> int:
    """Return where the first of a line went: the simulation repeats one of its last lines now and then."""
    first = firsts.pop(planned.value, planned.partition)
    firsts[planned.value] = first
    if len(firsts) > COPIES_FROM:
        firsts.popitem(last=False)
    return first


def _hours_apart(line: bytes, rng: random.Random) -> bytes:
    return _changed(line, hours=-rng.randint(1, 20))


def _changed(line: bytes, *, hours: int = 0, days: int = 0, **attributes: str) -> bytes:
    event = json.loads(line)
    moved_ms = to_ms(event["time"]) + hours * HOUR_MS + days * DAY_MS
    return json.dumps(event | {"time": to_text(moved_ms)} | attributes, ensure_ascii=False).encode()
