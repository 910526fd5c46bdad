"""A refused record as a person reads it: its JSON on lines of its own, with the place of the fault marked. Pure."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from services.dead_letter_content import READ_BYTES_MAX, Headers, structured
from services.record_object import RecordFault, read_value
from services.strict_json import Members

MARK: Final = "▶ "
NO_MARK: Final = "  "
LINES_AROUND: Final = 20
"""Lines that are shown before and after the marked one; of a record without a mark, twice as many from its start."""

_CHARACTERS_AROUND: Final = 60
_HEX_WIDTH: Final = 16
_HEX_LINES: Final = 8


@dataclass(frozen=True, slots=True)
class Shown:
    """A line; `path` is that of the value which begins on it, None where none does."""

    text: str
    path: str | None = None


def record_lines(value: bytes | None, headers: Headers, field: str | None) -> list[str]:
    """Return a record's lines, the one at `field` marked, or the place where reading it stopped."""
    if value is None:
        return ["(no value)"]
    try:
        text = structured(value, headers) or b""
        read = read_value(text, READ_BYTES_MAX)
    except RecordFault:
        return list(_unread(value))
    lines = list(_pretty(read))
    if field is None:
        return _around([NO_MARK + line.text for line in lines], None)
    at, missing = _place(lines, field)
    marked = [(MARK if number == at else NO_MARK) + line.text for number, line in enumerate(lines)]
    if at is not None and missing:
        marked[at] += f"   ← {_plain(missing)} is not here"
    return _around(marked, at)


def _pretty(value: object, path: str = "", name: str = "", indent: int = 0, comma: str = "") -> Iterator[Shown]:
    begin = "  " * indent + name
    parts: list[tuple[str, str, object]]
    match value:
        case Members(pairs):
            ends = "{}"
            parts = [(f"{path}.{key}" if path else key, f"{_plain(json.dumps(key))}: ", part) for key, part in pairs]
        case list():
            ends = "[]"
            parts = [(f"{path}[{place}]", "", part) for place, part in enumerate(value)]
        case _:
            yield Shown(begin + _plain(json.dumps(value, ensure_ascii=False)) + comma, path)
            return
    if not parts:
        yield Shown(begin + ends + comma, path)
        return
    yield Shown(begin + ends[0], path)
    for number, (where, label, part) in enumerate(parts, start=1):
        yield from _pretty(part, where, label, indent + 1, "," if number < len(parts) else "")
    yield Shown("  " * indent + ends[1] + comma)


def _place(lines: list[Shown], field: str) -> tuple[int | None, str]:
    """Return the line of a path, the last that has it, and what its object lacks where it is not there."""
    rest = ""
    path = field
    while True:
        # Of two equal keys the second is the one at fault.
        if found := [number for number, line in enumerate(lines) if line.path == path]:
            return found[-1], rest
        if not path:
            return None, rest
        path, _, name = path.rpartition(".")
        rest = f"{name}.{rest}" if rest else name


def _unread(value: bytes) -> Iterator[str]:
    """Yield what is around the place where a value stops being JSON, or UTF-8."""
    try:
        text = value.decode()
    except UnicodeDecodeError as error:
        yield from _hex(value, error.start)
        return
    try:
        json.loads(text)
        at = len(text)
    except json.JSONDecodeError as error:
        at = error.pos
    except (RecursionError, ValueError):
        at = 0
    begin = max(0, at - _CHARACTERS_AROUND)
    before, after = _plain(text[begin:at]), _plain(text[at : at + _CHARACTERS_AROUND])
    dots = "…" if begin else ""
    yield f"{NO_MARK}{dots}{before}{after}{'…' if len(text) > at + _CHARACTERS_AROUND else ''}"
    yield f"{NO_MARK}{' ' * (len(dots) + len(before))}▲ character {at}"


def _hex(value: bytes, at: int) -> Iterator[str]:
    first = max(0, at // _HEX_WIDTH - _HEX_LINES // 2) * _HEX_WIDTH
    for start in range(first, min(len(value), first + _HEX_LINES * _HEX_WIDTH), _HEX_WIDTH):
        row = value[start : start + _HEX_WIDTH]
        letters = "".join(chr(each) if 32 <= each < 127 else "." for each in row)
        mark = MARK if start <= at < start + _HEX_WIDTH else NO_MARK
        yield f"{mark}{start:08x}  {row.hex(' '):<{3 * _HEX_WIDTH}} {letters}"
    yield f"{NO_MARK}byte {at} is no UTF-8: 0x{value[at]:02x}"


def _plain(text: str) -> str:
    """Return a text that a terminal shows and does not obey."""
    return "".join(each if each.isprintable() else f"\\u{ord(each):04x}" for each in text)


def _around(lines: list[str], at: int | None) -> list[str]:
    first = max(0, (at or 0) - LINES_AROUND)
    last = min(len(lines), 2 * LINES_AROUND if at is None else at + LINES_AROUND + 1)
    before = [f"{NO_MARK}… {first} lines before"] if first else []
    after = [f"{NO_MARK}… {len(lines) - last} lines after"] if last < len(lines) else []
    return [*before, *lines[first:last], *after]
