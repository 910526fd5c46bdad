"""The settings of this process from all their sources, and the variables that give another process the same."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import SecretStr, ValidationError
from pydantic_settings import SettingsError

from services.secret_files import FILE
from services.settings import CONFIG_VARIABLE, Group, Settings


class WrongSettings(Exception):
    """The settings cannot be used; the message names each wrong one, on one line."""


def load_settings(overrides: Mapping[str, Any] | None = None) -> Settings:
    """Build the settings of this process.

    Args:
        overrides: group -> name -> value, above every other source.

    Raises:
        WrongSettings: a value is wrong, a name is not known, or the file cannot be read.
    """
    config = os.environ.get(CONFIG_VARIABLE)
    if config and not Path(config).is_file():
        raise WrongSettings(f"{CONFIG_VARIABLE} names {config}, which is not a file")
    known = {name.upper() for name in Settings.model_fields} | {"CONFIG"}
    for variable in os.environ:
        if variable.startswith("TIDEMARK_"):
            group = variable.removeprefix("TIDEMARK_").partition("__")[0]
            if group.upper() not in known:
                raise WrongSettings(f"{variable}: no group of settings is called {group!r}; known are {sorted(known)}")
    try:
        return Settings(**(overrides or {}))
    except ValidationError as error:
        raise WrongSettings("; ".join(_sentence(dict(row)) for row in error.errors())) from error
    except SettingsError as error:
        raise WrongSettings(
            f"a group of settings is no single value; give its settings one by one, as TIDEMARK_GROUP__NAME: {error}"
        ) from error
    except ValueError as error:
        raise WrongSettings(f"{config}: {error}") from error


def environment(settings: Settings, *, secrets: bool = True) -> dict[str, str]:
    """Return the `TIDEMARK_*` variables that give another process these settings: those that are not the default."""
    variables = {}
    for group in type(settings).model_fields:
        values: Group = getattr(settings, group)
        for name, info in type(values).model_fields.items():
            value = getattr(values, name)
            if value == info.default:
                continue
            if isinstance(value, SecretStr):
                # The file that it came from is handed on, not what is in it.
                if not secrets or getattr(values, name + FILE, None) is not None:
                    continue
                text = value.get_secret_value()
            else:
                text = values.model_dump(mode="json")[name]
            if text is not None:
                variables[f"TIDEMARK_{group}__{name}".upper()] = str(text)
    return variables


def _sentence(error: Mapping[str, Any]) -> str:
    where = [str(part) for part in error["loc"]]
    name = f"TIDEMARK_{'__'.join(where)}".upper() if where else "settings"
    if error["type"] == "extra_forbidden":
        return f"{name}: no setting has this name"
    return f"{name}: {str(error['msg']).removeprefix('Value error, ')}"
