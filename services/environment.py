"""The environment of this process and of its children: the one place, beside the settings, that reads it."""

import os
import sysconfig
import tomllib
from collections.abc import Mapping
from pathlib import Path

import services
from services.secret_files import FILE, write_secret
from services.settings import CONFIG_VARIABLE, Settings
from services.settings_loading import environment

PREFIX = "TIDEMARK_"


def given(group: str, name: str) -> bool:
    """Return whether a setting was given, by its variable or in the TOML file, be it with the default's value."""
    variable = f"{PREFIX}{group}__{name}".upper()
    if any(each.upper() == variable for each in os.environ):
        return True
    config = os.environ.get(CONFIG_VARIABLE)
    if not config or not Path(config).is_file():
        return False
    values = tomllib.loads(Path(config).read_text(encoding="utf-8")).get(group, {})
    return isinstance(values, dict) and name in values


def adopt(variables: Mapping[str, str]) -> None:
    """Take over variables that this process does not have itself."""
    for name, value in variables.items():
        os.environ.setdefault(name, value)


def insist(variables: Mapping[str, str]) -> None:
    """Give this process these variables, whatever it has."""
    os.environ.update(variables)


def inherited() -> dict[str, str]:
    """Return this process's environment without Tidemark's variables: what any program may see."""
    return {name: value for name, value in os.environ.items() if not name.upper().startswith(PREFIX)}


def child_environment(settings: Settings, directory: Path) -> dict[str, str]:
    """Return the environment in which a child runs with exactly these settings, from the code that runs here.

    Secrets are not in it: they are written to files in `directory`, which must live as long as the child.
    """
    plain = environment(settings, secrets=False)
    secrets = {name: value for name, value in environment(settings).items() if name not in plain}
    files = {f"{name}{FILE.upper()}": str(write_secret(directory / name, value)) for name, value in secrets.items()}
    return inherited() | _python_path() | plain | files


def _python_path() -> dict[str, str]:
    """Return PYTHONPATH with the directory of our packages first, unless Python finds them there anyway."""
    root = str(Path(services.__file__).resolve().parent.parent)
    if root in {str(Path(place).resolve()) for place in sysconfig.get_paths().values()}:
        return {}
    others = os.environ.get("PYTHONPATH")
    return {"PYTHONPATH": os.pathsep.join([root, others]) if others else root}
