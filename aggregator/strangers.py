"""What stands under the counters' keys and is none of Tidemark's: found by `verify`, left behind by `rebuild`. Pure."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from aggregator.comparing import read_key, window_start_ms
from services.dedup_index import PERIOD_MS
from services.event_rules import FIRST_MS, LAST_MS
from services.verification import Difference, Part
from services.windows import DAY_MS

Fields = Mapping[bytes, bytes]

_NAMES: Final = re.compile(
    r"l:[^/]+/\d{1,9}/(?P<day>\d{1,9})|x:(?P<period>-?\d{1,9})(?:/\d{1,9}/\d{1,9})?|i:.+|r:.+/\d{1,9}|rv", re.DOTALL
)
_NUMBER: Final = re.compile(rb"\d{1,3}")
_GENERATION: Final = re.compile(rb"\d{1,18}:\d{1,18}")
_IDENTITY: Final = re.compile(rb"-?\d{1,19}")
_IDENTITY_END: Final = 1 << 63
_PERIODS_MAX: Final = 1 << 24
"""Days or months: beyond the year 9999, whose arithmetic nobody needs."""

_BY_NUMBER: Final = ("h", "d", "ha", "da", "l", "x")
_PARTS: Final = {
    "h": Part.COUNTERS,
    "d": Part.COUNTERS,
    "ha": Part.ACTIVE_USERS,
    "da": Part.ACTIVE_USERS,
    "l": Part.LEDGER,
    "x": Part.IDS,
    "i": Part.USERS,
    "r": Part.DIRECTORY,
    "rv": Part.DIRECTORY,
}
_SHOWN: Final = 64
"""Bytes of a stranger that are shown."""


@dataclass(slots=True)
class Strangers:
    """Those of one partition's live counters that were met."""

    partition: int
    found: dict[tuple[str, bytes | None], bytes | None] = field(default_factory=dict)

    def known_names(self, names: Iterable[str]) -> set[str]:
        """Return the names of hashes and sets that are of a form that Tidemark writes."""
        known = set()
        for name in names:
            if _is_name(name):
                known.add(name)
            else:
                self.found[name, None] = None
        return known

    def known_fields(self, name: str, fields: Fields) -> Fields:
        """Return the fields of a hash that are of such a form, which are nearly always all of them."""
        kind = name.partition(":")[0]
        strange = [one for one in fields if not _is_field(kind, one, fields[one])]
        if not strange:
            return fields
        self.found.update({(name, one): fields[one] for one in strange})
        return {one: value for one, value in fields.items() if one not in strange}

    def known_members(self, name: str, members: Iterable[bytes]) -> list[int]:
        """Return the members of a set of identities that are some."""
        known = []
        for member in members:
            if _IDENTITY.fullmatch(member) and -_IDENTITY_END <= int(member) < _IDENTITY_END:
                known.append(int(member))
            else:
                self.found[name, member] = b""
        return known

    def differences(self) -> list[Difference]:
        return [
            Difference(
                partition=self.partition,
                part=_PARTS.get(name.partition(":")[0], Part.STATE),
                place={"key": name} | ({} if one is None else {"field": _shown(one)}),
                live="a key of no known form" if value is None else f"a field of no known form: {_shown(value)}",
                log=None,
            )
            for (name, one), value in self.found.items()
        ]


def _is_name(name: str) -> bool:
    if name.partition(":")[0] in {"h", "d", "ha", "da"}:
        key = read_key(name)
        return key is not None and abs(key.period) < _PERIODS_MAX and _is_moment(window_start_ms(key, b"0"))
    found = _NAMES.fullmatch(name)
    if found is None:
        return False
    day, period = (int(found[part] or 0) for part in ("day", "period"))
    return _is_moment(day * DAY_MS) and _is_moment(period * PERIOD_MS)


def _is_moment(begin_ms: int) -> bool:
    """Return whether events can lie in what begins then."""
    return FIRST_MS - PERIOD_MS < begin_ms <= LAST_MS


def _is_field(kind: str, name: bytes, value: bytes) -> bool:
    if kind in _BY_NUMBER:
        return _NUMBER.fullmatch(name) is not None and (kind != "x" or _GENERATION.fullmatch(value) is not None)
    return kind != "i" or _is_text(name)


def _is_text(name: bytes) -> bool:
    try:
        name.decode()
    except UnicodeDecodeError:
        return False
    return True


def _shown(value: bytes) -> str:
    return value[:_SHOWN].decode(errors="backslashreplace")
