"""An answer, and as of when it is. Pure."""

from dataclasses import dataclass
from typing import Generic, TypeVar

Value_co = TypeVar("Value_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Dated(Generic[Value_co]):
    """A value; every event that came before `as_of_ms` is in it, or was refused. None while that is unknown."""

    value: Value_co
    as_of_ms: int | None


def oldest(*as_of_ms: int | None) -> int | None:
    """Return as of when what was read at several times is; None while it is unknown of one of them."""
    known = [each for each in as_of_ms if each is not None]
    return min(known) if known and len(known) == len(as_of_ms) else None
