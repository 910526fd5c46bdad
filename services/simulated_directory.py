"""Seeded directory events for the organizations, teams and users of a profile's simulated usage. Pure."""

import random
from collections.abc import Iterator, Sequence
from operator import itemgetter
from typing import Final

import msgspec

from services.directory import EVENT_TYPES, Thing
from services.directory_records import month_of
from services.simulated_population import SHAPES, Profile
from services.simulated_records import organizations
from services.simulated_stories import Change, Span, stories
from services.windows import DAY_MS, first_day_of_month, rfc3339

SOURCE: Final = "simulated"
STATE_MONTHS: Final = 24
"""Months that lie behind a state: its users joined, moved and went within them."""

_REACH: Final = 5
"""What comes late or again, comes within one in so many parts of the whole."""

_encode: Final = msgspec.json.Encoder().encode


def simulate_directory(
    profile: Profile,
    seed: int,
    end_ms: int,
    *,
    months: int = 0,
    late_share: float = 0.05,
    copy_share: float = 0.02,
    contrary_share: float = 0.0,
) -> Iterator[bytes]:
    """Yield structured directory events, one JSON text each without a newline. The same arguments give the same bytes.

    Without `months` it is the state at the end: each living thing once, organizations first, all with one version, so
    that the state at a later end holds instead. With them it is all that happened since the begin of the month so many
    months before the end's: joins, moves, deactivations, re-activations, deletes, organizations that move; in the order
    of their versions but for what comes late or again. A version is the milliseconds of its change, as that of an
    imported table is by default: what is imported afterwards holds.

    Args:
        profile: whose organizations, teams and users.
        seed: of every draw.
        end_ms: every event's `time` is before it.
        months: length of the history.
        late_share: so many events of a history come after ones with higher versions.
        copy_share: so many come a second time.
        contrary_share: so many have a `time` before that of a lower version; the others' rise with their versions.
    """
    rng = random.Random(f"{profile}/{seed}/{months}/{end_ms}")
    begin_ms = first_day_of_month(month_of(end_ms) - (months or STATE_MONTHS)) * DAY_MS
    told = stories(rng, organizations(SHAPES[profile]), Span(begin_ms=begin_ms, end_ms=end_ms))
    if not months:
        # Users come and go; what they belong to is as it began, a tree of known shape.
        kept = (story[-1] if story[-1].thing in (Thing.USER, Thing.LICENSE) else story[0] for story in told)
        yield from (_line(each, each.at_ms, end_ms) for each in kept if each.record is not None)
        return
    changes = sorted((change for story in told for change in story), key=lambda change: change.at_ms)
    lines = [_line(each, _time_ms(rng, each, begin_ms, contrary_share), each.at_ms) for each in changes]
    yield from _disordered(rng, lines, late_share, copy_share)


def _time_ms(rng: random.Random, change: Change, begin_ms: int, contrary_share: float) -> int:
    contrary = contrary_share > 0 and rng.random() < contrary_share
    return rng.randrange(begin_ms, change.at_ms + 1) if contrary else change.at_ms


def _line(change: Change, time_ms: int, version: int) -> bytes:
    data = {"action": "delete"} if change.record is None else {"action": "upsert"} | change.record
    return _encode(
        {
            "specversion": "1.0",
            "id": f"{change.thing}/{change.subject}/{version}",
            "source": SOURCE,
            "type": EVENT_TYPES[change.thing],
            "time": rfc3339(time_ms),
            "subject": change.subject,
            "organizationid": change.organization,
            "data": {"version": version} | data,
        }
    )


def _disordered(rng: random.Random, lines: Sequence[bytes], late_share: float, copy_share: float) -> Iterator[bytes]:
    reach = max(1, len(lines) // _REACH)
    placed = []
    for place, line in enumerate(lines):
        late = rng.random() < late_share
        placed.append((place + (rng.randrange(reach) if late else 0), line))
        if rng.random() < copy_share:
            placed.append((place + rng.randrange(reach), line))
    yield from (line for _, line in sorted(placed, key=itemgetter(0)))
