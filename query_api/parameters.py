"""Kinds of parameters that operations share. A parameter is read by the grammar of JSON, no looser."""

import re
from typing import Annotated, Final

from fastapi import Query
from pydantic import BeforeValidator, Field, StringConstraints

from query_api.paging import PAGE_MAX
from services.events import ID_CHARACTERS_MAX

_ID_PATTERN: Final = r"^[^/\x00-\x1f\x7f-\x9f]+$"
"""What an id in an event may be; there is no other."""

ORGANIZATION_HEADER: Final = "SlashID-OrgID"
"""The organization that a quota call is about."""

_INTEGER: Final = re.compile(r"0|[1-9][0-9]*", re.ASCII)
_BOOLEANS: Final = {"true": True, "false": False}


def _integer(text: object) -> int:
    if not isinstance(text, str) or _INTEGER.fullmatch(text) is None:
        raise ValueError("it must be a whole number from 0, in decimal digits")
    return int(text)


def _boolean(text: object) -> bool:
    if not isinstance(text, str) or text not in _BOOLEANS:
        raise ValueError("it must be true or false")
    return _BOOLEANS[text]


def _text_of_header(text: object) -> object:
    """Return a header's bytes, which arrive read as ISO 8859-1, as the UTF-8 that they mostly are."""
    try:
        return text.encode("latin-1").decode() if isinstance(text, str) else text
    except UnicodeError:
        return text


Id = StringConstraints(min_length=1, max_length=ID_CHARACTERS_MAX, pattern=_ID_PATTERN)
IdOfHeader = BeforeValidator(_text_of_header)

Boolean = Annotated[bool, BeforeValidator(_boolean)]

# A bound before the validator is a bound of the integer; after it the served schema would not have it as minimum.
OffsetParameter = Annotated[int, Field(ge=0), BeforeValidator(_integer), Query(description="Rows to skip.")]
LimitParameter = Annotated[
    int,
    Field(ge=0, le=PAGE_MAX),
    BeforeValidator(_integer),
    Query(description=f"Most rows to return; 0 asks for the most there can be, {PAGE_MAX}."),
]
