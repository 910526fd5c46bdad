"""Kinds of members that the answers' shapes are made of."""

from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel
from pydantic.json_schema import SkipJsonSchema

Value = TypeVar("Value")


def without_default(schema: dict[str, Any]) -> None:
    """Take the default out of a member's schema: it is what stands for a member that is left out."""
    schema.pop("default", None)


Count = Annotated[int, Field(ge=0)]

Long = Annotated[int, Field(json_schema_extra={"format": "int64"})]

Instant = Annotated[str, Field(json_schema_extra={"format": "date-time"})]

Email = Annotated[str, Field(json_schema_extra={"format": "email"})]
"""The format says what it is; the directory's contract says what it may be."""

Maybe = Annotated[
    Value | SkipJsonSchema[None],
    Field(exclude_if=lambda value: value is None, json_schema_extra=without_default),
]
"""A member that is left out when there is nothing to say; never null."""


class Answer(BaseModel):
    """A shape whose members are camelCase on the wire."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, validate_by_name=True, validate_by_alias=True)


class PlainAnswer(BaseModel):
    """A shape whose members are named alike here and on the wire, or one by one."""

    model_config = ConfigDict(frozen=True, validate_by_name=True, validate_by_alias=True)
