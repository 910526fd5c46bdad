"""Rules of the contract that msgspec does not check: characters of ids, reserved ids, the grammar of `time`. Pure."""

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Final

from services.events import ID_CHARACTERS_MAX, IDENTITY_CHARACTERS_MAX, RESERVED_IDS
from services.windows import to_ms

# Control characters as CloudEvents 1.0 counts them (C0, DEL, C1), and surrogates, which have no UTF-8.
_BAD_IN_IDENTITY: Final = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_BAD_IN_ID: Final = re.compile("[/\x00-\x1f\x7f-\x9f\ud800-\udfff]")

# RFC 3339 date-time. `T` and `Z` may be lower case there (ABNF); a space between date and time may not.
_TIME: Final = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]+))?"
    r"([Zz]|[+-][0-9]{2}:[0-9]{2})?"
)
FIRST_MS: Final = to_ms(datetime(1, 1, 1, tzinfo=UTC))
LAST_MS: Final = to_ms(datetime(9999, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC))


class WrongTime(ValueError):
    """The text is no RFC 3339 date-time, or names a moment that does not exist."""


class TimeWithoutOffset(WrongTime):
    """The text would be right if it said which offset from UTC it is in."""


def is_identity_text(text: str) -> bool:
    """Whether `text` may be an event's `id` or `source`."""
    return 0 < len(text) <= IDENTITY_CHARACTERS_MAX and not has_bad_identity_characters(text)


def is_id_text(text: str) -> bool:
    """Whether `text` may be the id of an organization, team or user."""
    return 0 < len(text) <= ID_CHARACTERS_MAX and not has_bad_id_characters(text) and text not in RESERVED_IDS


def has_bad_identity_characters(text: str) -> bool:
    return _BAD_IN_IDENTITY.search(text) is not None


def has_bad_id_characters(text: str) -> bool:
    return _BAD_IN_ID.search(text) is not None


def read_time_ms(text: str) -> int:
    """Return an RFC 3339 date-time as milliseconds since the epoch, rounded down.

    `-00:00` is UTC. A leap second (`:60`) is refused: no window could hold it.

    Raises:
        TimeWithoutOffset: only the offset is missing.
        WrongTime: anything else is wrong, also a moment outside the years 1 to 9999 in UTC.
    """
    match = _TIME.fullmatch(text)
    if match is None:
        raise WrongTime("not an RFC 3339 date-time such as 2026-08-22T08:00:00Z")
    year, month, day, hour, minute, second, fraction, offset = match.groups()
    try:
        moment = datetime(
            int(year), int(month), int(day), int(hour), int(minute), int(second), tzinfo=_zone(offset or "Z")
        )
    except ValueError as error:
        raise WrongTime(f"no such moment: {error}") from error
    if offset is None:
        raise TimeWithoutOffset("without an offset from UTC such as Z or +02:00")
    time_ms = to_ms(moment) + int(((fraction or "") + "000")[:3])
    if not FIRST_MS <= time_ms <= LAST_MS:
        raise WrongTime("outside the years 1 to 9999 in UTC")
    return time_ms


def _zone(offset: str) -> timezone:
    if offset in ("Z", "z"):
        return UTC
    minutes = int(offset[4:6])
    if minutes > 59:
        raise ValueError("an offset has at most 59 minutes")
    ahead = timedelta(hours=int(offset[1:3]), minutes=minutes)
    return timezone(-ahead if offset[0] == "-" else ahead)
