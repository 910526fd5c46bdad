"""What each field of a directory event takes: its kind, and in words. Pure.

All of it comes out of the contract's structs: a field that they get needs nothing here.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

import msgspec
from msgspec import inspect

from services.directory import DATA_CLASSES, EVENT_CLASSES, EVENT_TYPES, Thing


class Kind(Enum):
    """What a field's value is in JSON."""

    TEXT = "text"
    NUMBER = "whole number"
    BOOLEAN = "boolean"
    LIST = "list of texts"
    OBJECT = "object"


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One field of the contract; `takes` is what may stand in it, in words that follow "give"."""

    name: str
    required: bool
    kind: Kind
    takes: str


def _fields(of: type[msgspec.Struct], leave_out: tuple[str, ...] = ()) -> dict[str, Field]:
    return {field.name: _field(field) for field in msgspec.structs.fields(of) if field.name not in leave_out}


def _field(field: msgspec.structs.FieldInfo) -> Field:
    kind, taken = _described(*_core(inspect.type_info(field.type)))
    return Field(name=field.name, required=field.required, kind=kind, takes=taken)


def _core(info: inspect.Type) -> tuple[inspect.Type, Mapping[str, Any]]:
    """Return a type without None and without what its JSON Schema says beyond it, and that."""
    match info:
        case inspect.Metadata():
            return info.type, info.extra_json_schema or {}
        case inspect.UnionType():
            return _core(next(each for each in info.types if not isinstance(each, inspect.NoneType)))
        case _:
            return info, {}


def _described(info: inspect.Type, extra: Mapping[str, Any]) -> tuple[Kind, str]:
    """Return the kind of a type and what it takes."""
    match info:
        case inspect.StrType():
            return Kind.TEXT, _text(info, extra)
        case inspect.LiteralType():
            return Kind.TEXT, _one_of(info.values)
        case inspect.EnumType():
            return Kind.TEXT, _one_of(tuple(info.cls))
        case inspect.BoolType():
            return Kind.BOOLEAN, "true or false"
        case inspect.IntType():
            return Kind.NUMBER, f"a whole number from {info.ge} to {info.le}"
        case inspect.ListType():
            return Kind.LIST, f"a list of at most {info.max_length}, each {_described(*_core(info.item_type))[1]}"
        case inspect.DictType():
            return Kind.OBJECT, "a JSON object"
        case _:
            raise TypeError(f"the contract has no words for {info}")


def _text(info: inspect.StrType, extra: Mapping[str, Any]) -> str:
    if extra.get("format") == "date-time":
        return "a time in RFC 3339 with its offset, such as 2026-08-22T08:00:00Z"
    if info.max_length is None:
        return "a text"
    characters = f"{info.min_length} to {info.max_length}" if info.min_length else f"at most {info.max_length}"
    if extra.get("format") == "email":
        return f"an address such as ada@example.com, {characters} characters"
    if "not" in extra:
        return f"an id: {characters} characters, no control characters, no /"
    return f"{characters} characters" + (", no control characters" if "pattern" in extra else "")


def _one_of(values: tuple[Any, ...]) -> str:
    *most, last = map(str, values)
    return f"one of {', '.join(most)} or {last}" if most else last


FIELDS: Final[Mapping[Thing, Mapping[str, Field]]] = {
    thing: _fields(data, ("version",)) for thing, data in DATA_CLASSES.items()
}
"""The fields of each thing's record, in the contract's order."""

VERSION: Final = _fields(DATA_CLASSES[Thing.TEAM])["version"]
ENVELOPE: Final[Mapping[str, Field]] = _fields(EVENT_CLASSES[Thing.TEAM], ("data",)) | {
    "type": Field(name="type", required=True, kind=Kind.TEXT, takes=_one_of(tuple(EVENT_TYPES.values())))
}
"""The attributes around `data`."""

_PARTED: Final = re.compile(r"[.\[]")
_ACTION: Final = "upsert or delete"
_DATA: Final = "an object with action, version and the record's fields"
_PARTS: Final = {"data": _DATA, "data.action": _ACTION, "data.version": VERSION.takes}


def takes(path: str, thing: Thing | None) -> str | None:
    """Return what stands at a path of an event, e.g. `data.email` or `data.leads[0]`; None when nothing does."""
    if path in _PARTS:
        return _PARTS[path]
    if path in ENVELOPE:
        return ENVELOPE[path].takes
    match _PARTED.split(path):
        case ["data", name, *_] if thing is not None and name in FIELDS[thing]:
            return FIELDS[thing][name].takes
    return None
