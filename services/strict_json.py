"""JSON read slowly and strictly: nothing is lost on the way, neither a second equal key nor how a number was written.

Pure. Needs its input checked for depth first (`depth_exceeds`), since the parser of the standard library recurses.
"""

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

# A string, also one that never ends. Possessive, so that no text makes it look back: it stays linear.
_STRING: Final = re.compile(r'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)', re.DOTALL)
_BRACKET: Final = re.compile(r"[\[\]{}]")
_SURROGATE: Final = re.compile("[\ud800-\udfff]")

_DIGITS_MAX: Final = 20
_BEYOND_ANY_RANGE: Final = 10**_DIGITS_MAX


class NotJson(ValueError):
    """The text is not JSON."""


@dataclass(frozen=True, slots=True)
class Members:
    """An object as it was written: every member, in order, equal keys too."""

    pairs: list[tuple[str, object]]

    def get(self, key: str) -> object:
        """Return the value of the last member of that name, None when there is none."""
        return dict(self.pairs).get(key)

    def names(self) -> list[str]:
        return [key for key, _ in self.pairs]


def depth_exceeds(text: str, levels: int) -> bool:
    """Whether objects and arrays are nested more than `levels` deep; sensible for text that is not JSON too."""
    depth = 0
    for bracket in _BRACKET.finditer(_STRING.sub("", text)):
        depth += 1 if bracket[0] in "[{" else -1
        if depth > levels:
            return True
    return False


def parse(text: str) -> object:
    """Return the value: `Members`, list, str, int, float (NaN and infinities too), bool or None.

    Integers of more than 20 digits come out as plus or minus 10^20: too big for any field all the same.

    Raises:
        NotJson: see there. `NaN` and `Infinity` alone are let through, to be told apart from other faults.
    """
    try:
        return json.loads(text, object_pairs_hook=Members, parse_int=_integer)
    except ValueError as error:
        raise NotJson(str(error)) from error


def has_duplicate_keys(text: str) -> bool:
    """Whether an object in valid JSON has two equal keys; quicker than a walk over `parse`."""
    found = False

    def look(pairs: list[tuple[str, object]]) -> None:
        nonlocal found
        found = found or len(dict(pairs)) != len(pairs)

    json.loads(text, object_pairs_hook=look)
    return found


def values(value: object, path: str = "") -> Iterator[tuple[str, object]]:
    """Yield every value with its path, e.g. `data.lines`, in the order of the text, containers before their parts."""
    yield path, value
    match value:
        case Members(pairs):
            for key, part in pairs:
                yield from values(part, f"{path}.{key}" if path else key)
        case list():
            for place, part in enumerate(value):
                yield from values(part, f"{path}[{place}]")
        case _:
            pass


def duplicate_key(value: object) -> str | None:
    """Return the path of the first key that comes a second time, None when none does."""
    for path, part in values(value):
        if isinstance(part, Members):
            seen: set[str] = set()
            for key in part.names():
                if key in seen:
                    return f"{path}.{key}" if path else key
                seen.add(key)
    return None


def not_a_number(value: object) -> str | None:
    """Return the path of the first number that is NaN or infinite, None when none is."""
    return next((at for at, part in values(value) if isinstance(part, float) and not math.isfinite(part)), None)


def lone_surrogate(value: object) -> str | None:
    """Return the path of the first text or key with half of a surrogate pair, None when there is none."""
    for path, part in values(value):
        if isinstance(part, str) and _SURROGATE.search(part):
            return path
        if isinstance(part, Members) and any(_SURROGATE.search(key) for key in part.names()):
            return path
    return None


def _integer(text: str) -> int:
    if len(text) <= _DIGITS_MAX:
        return int(text)
    return -_BEYOND_ANY_RANGE if text[0] == "-" else _BEYOND_ANY_RANGE
