"""A table of directory records in CSV as directory events, row by row. Pure.

The first row names the columns: `type`, `organizationid` and `subject`, which every row fills; `action`, `version` and
`time`, which have defaults; and the record's fields by their names in the contract. Blanks around a name or a cell are
none of it (who writes `, ` between cells means no id that begins with a blank). An empty cell is an absent field, and a
row of empty cells is passed over.
"""

import csv
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any, Final

import msgspec

from services.directory import EVENT_TYPES
from services.directory_fields import FIELDS, Kind
from services.directory_import import BadRow, Checked, GoodEvent, ImportRules, check_event

REQUIRED: Final = ("type", "organizationid", "subject")
SHARED: Final = (*REQUIRED, "action", "version", "time")
KIND_OF: Final = {name: field.kind for fields in FIELDS.values() for name, field in fields.items()}
COLUMNS: Final = (*SHARED, *KIND_OF)
LIST_SEPARATOR: Final = ";"
SOURCE: Final = "tidemark directory import"

_BOOLEANS: Final = {"true": True, "false": False}
_NUMBER: Final = re.compile(r"-?[0-9]{1,20}")
_DELETE: Final = "delete"
_TYPES: Final = {event_type.removeprefix("directory."): event_type for event_type in EVENT_TYPES.values()}
_encode: Final = msgspec.json.Encoder().encode
_one_value: Final = msgspec.json.Decoder(msgspec.Raw)


@dataclass(frozen=True, slots=True, kw_only=True)
class Defaults:
    """What stands where a row says nothing: one version and one time for the whole file."""

    version: int
    time: str


class _Unreadable(Exception):
    """The table cannot be read beyond here."""

    def __init__(self, bad: BadRow) -> None:
        super().__init__(bad)
        self.bad = bad


def check_table(lines: Iterable[bytes], rules: ImportRules, defaults: Defaults) -> Iterator[Checked]:
    """Yield what each row is; where the header is wrong, or the table cannot be read on, that is the last.

    Args:
        lines: without their line feeds.
    """
    # A cell of another type's field is a mistake, whatever ingest is told to pass over.
    strict = replace(rules, unknown_fields="refuse")
    seen: dict[int, int] = {}
    try:
        rows = _rows(lines)
        first, header = next(rows, (1, []))
        columns = [name.strip() for name in header]
        wrong = list(_header_faults(first, columns))
        yield from wrong
        if wrong:
            return
        for line, cells in rows:
            if len(cells) == len(columns):
                filled = {name: text for name, cell in zip(columns, cells, strict=True) if (text := cell.strip())}
                checked = _of_columns(check_event(line, _event(line, filled, defaults), strict))
                yield _once(_timed(checked, filled), seen)
            else:
                remedy = f"has {len(cells)} cells, but the header {len(columns)}; quote a cell that holds a comma"
                yield BadRow(line=line, field=None, remedy=remedy)
    except _Unreadable as end:
        yield end.bad


def _rows(lines: Iterable[bytes]) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows in which something stands, each with the number of its first line."""
    reader = csv.reader(_texts(lines), strict=True)
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error as error:
            remedy = f"no CSV from here on ({error}); a quoted cell ends with one quote, and doubles those within"
            raise _Unreadable(BadRow(line=line, field=None, remedy=remedy)) from error
        if cells is None:
            return
        if any(map(str.strip, cells)):
            yield line, cells


def _texts(lines: Iterable[bytes]) -> Iterator[str]:
    for number, line in enumerate(lines, start=1):
        try:
            text = line.decode()
        except UnicodeDecodeError as error:
            remedy = f"byte {error.start + 1} is no UTF-8; save the table as UTF-8"
            raise _Unreadable(BadRow(line=number, field=None, remedy=remedy)) from error
        # Spreadsheets begin a table in UTF-8 with a byte order mark.
        yield (text.removeprefix("\ufeff") if number == 1 else text) + "\n"


def _header_faults(line: int, columns: Sequence[str]) -> Iterator[BadRow]:
    if len(columns) < 2:
        remedy = "no header; the first row names the columns, with commas between them"
        yield BadRow(line=line, field=None, remedy=remedy)
        return
    for place, name in enumerate(columns):
        if name not in COLUMNS:
            yield BadRow(line=line, field=name or f"column {place + 1}", remedy=f"is no column; {_instead(name)}")
        elif name in columns[:place]:
            yield BadRow(line=line, field=name, remedy="is there twice; take one of the two columns out")
    for name in REQUIRED:
        if name not in columns:
            yield BadRow(line=line, field=name, remedy="is missing; every table has this column")


def _instead(name: str) -> str:
    alike = get_close_matches(name.lower(), [column.lower() for column in COLUMNS], n=1)
    if alike:
        return "did you mean " + next(column for column in COLUMNS if column.lower() == alike[0]) + "?"
    return f"take it out, there are {', '.join(COLUMNS)}"


def _event(line: int, cells: Mapping[str, str], defaults: Defaults) -> bytes:
    """Return the event that the filled cells of a row say, good or bad."""
    data: dict[str, Any] = {"action": cells.get("action", "upsert")}
    data["version"] = _number(cells["version"]) if "version" in cells else defaults.version
    if data["action"] != _DELETE:
        data |= {name: _value(KIND_OF[name], cell) for name, cell in cells.items() if name in KIND_OF}
    event = {"specversion": "1.0", "id": f"{defaults.version}-{line}", "source": SOURCE, "time": defaults.time}
    event |= {name: cells[name] for name in (*REQUIRED, "time") if name in cells}
    if "type" in event:
        event["type"] = _TYPES.get(event["type"], event["type"])
    return _encode(event | {"data": data})


def _value(kind: Kind, cell: str) -> object:
    """Return what a cell stands for; one that is of another kind stays text, and the contract refuses it."""
    match kind:
        case Kind.TEXT:
            return cell
        case Kind.NUMBER:
            return _number(cell)
        case Kind.BOOLEAN:
            return _BOOLEANS.get(cell.lower(), cell)
        case Kind.LIST:
            return [part.strip() for part in cell.split(LIST_SEPARATOR)]
        case Kind.OBJECT:
            return _object(cell)


def _number(cell: str) -> int | str:
    return int(cell) if _NUMBER.fullmatch(cell) else cell


def _object(cell: str) -> msgspec.Raw | str:
    """Return JSON as it is written, so that nothing of it is lost before it is checked."""
    text = cell.encode()
    try:
        _one_value.decode(text)
    except (msgspec.MsgspecError, RecursionError):
        return cell
    return msgspec.Raw(text)


def _of_columns(checked: Checked) -> Checked:
    """Return a bad row with its column instead of the path in the event."""
    if isinstance(checked, GoodEvent) or checked.field is None:
        return checked
    return replace(checked, field=checked.field.removeprefix("data."))


def _timed(checked: Checked, cells: Mapping[str, str]) -> Checked:
    """Return a row; a version with the time of the import would let an old one stand at the month's end."""
    if isinstance(checked, BadRow) or "version" not in cells or "time" in cells:
        return checked
    return BadRow(line=checked.line, field="time", remedy="is empty beside a version; say when the change was")


def _once(checked: Checked, seen: dict[int, int]) -> Checked:
    """Return a row, or that an earlier one says another thing of the same version, of which the first would hold."""
    if isinstance(checked, BadRow):
        return checked
    # A hash instead of the ids: a large table is not kept in memory.
    key = hash((checked.thing, checked.organization, checked.subject, checked.version))
    earlier = seen.setdefault(key, checked.line)
    if earlier == checked.line:
        return checked
    remedy = f"is in line {earlier} already with this version; take one out, or give the later one a higher version"
    return BadRow(line=checked.line, field="subject", remedy=remedy)
