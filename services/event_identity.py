"""Is a record, good or broken, the event with this identity? Pure.

A broken record may lack what tells: so there is a likely match beside the exact one.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from typing import Any, Final

import msgspec

Headers = Sequence[tuple[str, bytes | None]]

_ATTRIBUTES: Final = ("organizationid", "source", "id")
_CE: Final = "ce_"


class Match(IntEnum):
    """Whether a record is the event: no; by its id and by what can be read of the rest; by all three attributes."""

    NO = 0
    LIKELY = 1
    EXACT = 2


class _Attributes(msgspec.Struct):
    organizationid: Any = None
    source: Any = None
    id: Any = None


_decoder: Final = msgspec.json.Decoder(_Attributes)


@dataclass(frozen=True, kw_only=True)
class EventIdentity:
    """What makes an event the same as another."""

    organization: str
    source: str
    id: str

    def match(self, value: bytes | None, headers: Headers = ()) -> Match:
        """Return whether a record's value, or its headers in binary mode, name this event."""
        found = Match.NO if value is None else self._match_value(value)
        if found is not Match.EXACT and any(name.startswith(_CE) for name, _ in headers):
            found = max(found, self._match_attributes(_of_headers(headers)))
        return found

    def _match_value(self, value: bytes) -> Match:
        # What most records end with: without escapes, the id stands in the value as it is.
        if b"\\" not in value and self._raw_id not in value:
            return Match.NO
        try:
            read = _decoder.decode(value)
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            return Match.LIKELY if all(any(form in value for form in forms) for forms in self._written) else Match.NO
        return self._match_attributes({name: getattr(read, name) for name in _ATTRIBUTES})

    def _match_attributes(self, attributes: Mapping[str, object]) -> Match:
        if attributes.get("id") != self.id:
            return Match.NO
        others = [(attributes.get("organizationid"), self.organization), (attributes.get("source"), self.source)]
        if all(found == wanted for found, wanted in others):
            return Match.EXACT
        readable = [pair for pair in others if isinstance(pair[0], str) and pair[0]]
        return Match.LIKELY if all(found == wanted for found, wanted in readable) else Match.NO

    @cached_property
    def _raw_id(self) -> bytes:
        return self.id.encode()

    @cached_property
    def _written(self) -> list[set[bytes]]:
        """How each of the three may stand in text that is no JSON."""
        texts = (self.organization, self.source, self.id)
        return [{json.dumps(text).encode(), json.dumps(text, ensure_ascii=False).encode()} for text in texts]


def _of_headers(headers: Headers) -> dict[str, object]:
    return {
        name.removeprefix(_CE): value.decode("utf-8", "replace")
        for name, value in headers
        if value is not None and name.startswith(_CE)
    }
