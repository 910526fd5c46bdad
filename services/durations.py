"""Durations as people write them in settings and options: `35d`, `90s`, `500ms`, `none`; seconds within."""

import re
from decimal import Decimal
from typing import Annotated

from pydantic import BeforeValidator, Field, PlainSerializer

_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400}


def parse_duration(value: object) -> object:
    """Return `"35d"`, `"90s"`, `"500ms"` or a number as seconds; `"none"` as None; anything else as it is."""
    if isinstance(value, str):
        if value.strip().lower() == "none":
            return None
        if match := re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)?\s*", value):
            return float(match[1]) * _UNITS[match[2] or "s"]
        raise ValueError("give a duration such as 35d, 12h, 5m, 90s or 500ms, or none where it may be lifted")
    return value


def write_duration(seconds: float | None) -> str:
    """Return a duration as `parse_duration` reads it back, to the last bit."""
    return "none" if seconds is None else f"{Decimal(repr(seconds)).normalize():f}s"


Duration = Annotated[
    float, BeforeValidator(parse_duration), PlainSerializer(write_duration), Field(ge=0, allow_inf_nan=False)
]
OptionalDuration = Annotated[
    Annotated[float, Field(ge=0, allow_inf_nan=False)] | None,
    BeforeValidator(parse_duration),
    PlainSerializer(write_duration),
]
