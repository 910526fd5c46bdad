"""The tiers and their limits, read once from a TOML file; the shipped one says what stands where."""

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final

from services.settings_loading import WrongSettings

SHIPPED: Final = Path(__file__).with_name("tiers.toml")
TIERS_MAX: Final = 1_000
LIMIT_MAX: Final = 2**53 - 1
"""The largest integer that every JSON reader keeps exactly."""

_NAME: Final = re.compile(r"[^\x00-\x1f\x7f-\x9f]{1,64}")
"""What a directory event may name as a tier."""

_UNLIMITED: Final = "unlimited"


class WrongTiers(ValueError):
    """The text of a tiers file is not as it must be; the sentence names the tier and the key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    """What a root organization may have with everything below it; a limit of None is none."""

    name: str
    custom_templates_allowed: bool
    nhi_external_connections_allowed: bool
    max_suborganizations: int | None
    max_persons: int | None
    max_groups: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tiers:
    """All tiers, in the order of the file."""

    by_name: Mapping[str, Tier]
    default: Tier

    def of(self, name: str | None) -> Tier:
        """Return the tier of a name; the default one for no name, or one that no tier has."""
        return self.default if name is None else self.by_name.get(name, self.default)


def load_tiers(path: Path | None) -> Tiers:
    """Read a tiers file, the shipped one when none is given.

    Raises:
        WrongSettings: the file cannot be used; the sentence names it, the tier and the key.
    """
    path = path or SHIPPED
    try:
        text = path.read_text(encoding="utf-8")
        return tiers_of(tomllib.loads(text))
    except OSError as error:
        raise WrongSettings(f"TIDEMARK_API__TIERS_FILE: {path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise WrongSettings(f"TIDEMARK_API__TIERS_FILE: {path}: {error}") from error


def tiers_of(document: Mapping[str, Any]) -> Tiers:
    """Return the tiers of a parsed file.

    Raises:
        WrongTiers: something is missing, unknown or not what it must be.
    """
    _check_keys("the file", document, ("default", "tiers"))
    tables = document["tiers"]
    if not isinstance(tables, dict) or not 1 <= len(tables) <= TIERS_MAX:
        raise WrongTiers(f"tiers must hold from 1 to {TIERS_MAX} tables [tiers.NAME]")
    by_name = {name: _tier(name, table) for name, table in tables.items()}
    default = document["default"]
    if not isinstance(default, str) or default not in by_name:
        raise WrongTiers(f"default must be the name of one of the tiers: {', '.join(by_name)}")
    return Tiers(by_name=by_name, default=by_name[default])


def _tier(name: str, table: object) -> Tier:
    where = f"tier {name!r}"
    if _NAME.fullmatch(name) is None:
        raise WrongTiers(f"{where}: a name has 1 to 64 characters, none of them a control character")
    if not isinstance(table, dict):
        raise WrongTiers(f"{where}: it must be a table [tiers.{name}]")
    _check_keys(where, table, [field.name for field in fields(Tier) if field.name != "name"])
    return Tier(
        name=name,
        custom_templates_allowed=_flag(where, "custom_templates_allowed", table),
        nhi_external_connections_allowed=_flag(where, "nhi_external_connections_allowed", table),
        max_suborganizations=_limit(where, "max_suborganizations", table),
        max_persons=_limit(where, "max_persons", table),
        max_groups=_limit(where, "max_groups", table),
    )


def _check_keys(where: str, table: Mapping[str, Any], keys: Sequence[str]) -> None:
    for key in table:
        if key not in keys:
            raise WrongTiers(f"{where}: there is no key {key!r}; known are {', '.join(keys)}")
    for key in keys:
        if key not in table:
            raise WrongTiers(f"{where}: the key {key!r} is missing")


def _flag(where: str, key: str, table: Mapping[str, Any]) -> bool:
    value = table[key]
    if not isinstance(value, bool):
        raise WrongTiers(f"{where}: {key} must be true or false")
    return value


def _limit(where: str, key: str, table: Mapping[str, Any]) -> int | None:
    value = table[key]
    if value == _UNLIMITED:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= LIMIT_MAX:
        raise WrongTiers(f'{where}: {key} must be a whole number from 0 to {LIMIT_MAX}, or "{_UNLIMITED}"')
    return value
