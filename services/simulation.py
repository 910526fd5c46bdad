"""One seeded generator of usage events, for the demo, the tests and the benchmark. Pure."""

import json
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final
from zlib import crc32

import numpy as np
import numpy.typing as npt

from services.simulated_events import DATA_OF_TYPE, OFFSETS, Draws, Integers, time_texts
from services.simulated_population import SHAPES, Member, Profile, Shape, members
from services.windows import DAY_MS, HOUR_MS

CHUNK: Final = 8_192
"""Events drawn together; part of what a seed means."""

COPIES_FROM: Final = 20_000
"""A copy repeats one of so many lines before it."""

WEEKEND_SHARE: Final = 0.2
JITTER_MS: Final = 4_000


def simulate(profile: Profile, seed: int, events: int | None, end_ms: int) -> Iterator[bytes]:
    """Yield structured CloudEvents, one JSON text each without a newline, copies included.

    The same arguments give the same bytes (with the same numpy). Ids differ between runs whose arguments differ.

    Args:
        profile: the workload.
        seed: of every draw.
        events: how many lines; None for the profile's own number.
        end_ms: no event's `time` is after it; times begin the profile's span earlier.
    """
    shape = SHAPES[profile]
    total = shape.default_events if events is None else events
    yield from lines_of(shape, profile, seed, total, end_ms)


def lines_of(shape: Shape, name: str, seed: int, total: int, end_ms: int) -> Iterator[bytes]:
    """Yield the events of any shape; `name` tells its ids from those of other shapes."""
    run = f"{crc32(f'{name}/{seed}/{total}/{end_ms}'.encode()):08x}"
    names = [(_named(member), _named(replace(member, team=None))) for member in members(shape)]
    clock = _Rhythm(shape, end_ms)
    recent: deque[bytes] = deque(maxlen=COPIES_FROM)
    for start in range(0, total, CHUNK):
        size = min(CHUNK, total - start)
        rng = np.random.default_rng([seed, start])
        instants = clock.instants((start + np.arange(size)) / total, rng, shape)
        lines = _lines(shape, names, rng, instants, f"{run}.{start // CHUNK:x}")
        copies = rng.random(size) < shape.copy_share
        backward = rng.random(size)
        for line, copied, back in zip(lines, copies.tolist(), backward.tolist(), strict=True):
            chosen = recent[-1 - int(back**3 * len(recent))] if copied and recent else line
            recent.append(chosen)
            yield chosen


class _Rhythm:
    """Turns a place in the run (0 to 1) into a time, so that busy hours get more events."""

    def __init__(self, shape: Shape, end_ms: int) -> None:
        self._start_ms = end_ms - shape.span_ms
        self._end_ms = end_ms
        first = -(-self._start_ms // HOUR_MS) * HOUR_MS
        inner = np.arange(first, end_ms, HOUR_MS, dtype=np.int64)
        self._bounds = np.unique(np.concatenate(([self._start_ms], inner, [end_ms])))
        weights = np.array([_hour_weight(shape, int(bound)) for bound in self._bounds[:-1]])
        mass = np.concatenate(([0.0], np.cumsum(weights * np.diff(self._bounds))))
        self._mass = mass / mass[-1]

    def instants(self, places: npt.NDArray[np.float64], rng: np.random.Generator, shape: Shape) -> Integers:
        """Return times in ms that mostly rise, a few of them late."""
        rising = np.interp(places, self._mass, self._bounds.astype(np.float64)).astype(np.int64)
        late = np.where(rng.random(len(places)) < shape.late_share, rng.integers(0, shape.late_max_ms, len(places)), 0)
        shaken = rising - rng.integers(0, JITTER_MS, len(places)) - late
        clipped: Integers = np.clip(shaken, self._start_ms, self._end_ms)
        return clipped


def _hour_weight(shape: Shape, hour_start_ms: int) -> float:
    weight = float(shape.hour_weights[hour_start_ms // HOUR_MS % 24])
    weekend = (hour_start_ms // DAY_MS + 3) % 7 >= 5 and len(set(shape.hour_weights)) > 1
    return weight * WEEKEND_SHARE if weekend else weight


def _lines(
    shape: Shape, names: Sequence[tuple[str, str]], rng: np.random.Generator, instants: Integers, prefix: str
) -> list[bytes]:
    """Write one chunk of events; all its draws come from `rng` in a fixed order.

    Args:
        names: for each user the text that names it with its team, and without.
    """
    size = len(instants)
    kinds = rng.choice(len(DATA_OF_TYPE), size, p=shape.type_shares)
    who = rng.integers(0, len(names), size)
    teamless = rng.random(size) < shape.no_team_share
    zones = [OFFSETS[0]] if shape.no_team_share == 0 else OFFSETS
    zone_of = rng.integers(0, len(zones), size)
    lines = [b""] * size
    for kind, (event_type, write_data) in enumerate(DATA_OF_TYPE):
        at = np.flatnonzero(kinds == kind)
        data = write_data(Draws(rng, len(at), shape.idle_share))
        times = _zoned(instants[at], zone_of[at], zones)
        head = f'{{"specversion":"1.0","id":"{prefix}'
        source = f'","source":"simulated","type":"{event_type}","time":"'
        rows = zip(at.tolist(), times, who[at].tolist(), teamless[at].tolist(), data, strict=True)
        for place, time, number, alone, text in rows:
            lines[place] = f'{head}.{place:x}{source}{time}",{names[number][alone]},"data":{text}}}'.encode()
    return lines


def _named(member: Member) -> str:
    """Return the attributes that say whose event it is, as JSON text between commas."""
    named = {"subject": member.user, "organizationid": member.organization}
    if member.team is not None:
        named["teamid"] = member.team
    return json.dumps(named, ensure_ascii=False, separators=(",", ":"))[1:-1]


def _zoned(instants: Integers, zone_of: Integers, zones: list[str] | tuple[str, ...]) -> list[str]:
    if len(zones) == 1:
        return time_texts(instants, zones[0])
    texts = [""] * len(instants)
    for number, zone in enumerate(zones):
        at = np.flatnonzero(zone_of == number)
        for place, text in zip(at.tolist(), time_texts(instants[at], zone), strict=True):
            texts[place] = text
    return texts
