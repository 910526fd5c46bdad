"""deploy/compose.yaml as Compose reads it: variables replaced by their defaults, merge keys resolved."""

import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml

ROOT: Final = Path(__file__).parents[2]
DEPLOY: Final = ROOT / "deploy"
FILE: Final = DEPLOY / "compose.yaml"
ROLES: Final = ("ingest", "aggregator", "api", "canary")
OURS: Final = ("topics", *ROLES)
_VARIABLE: Final = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")


@cache
def composition() -> Mapping[str, Any]:
    read: dict[str, Any] = yaml.safe_load(_interpolated(FILE.read_text()))
    return read


def service(name: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = composition()["services"][name]
    return found


def environment(name: str) -> dict[str, str]:
    return {variable: str(value) for variable, value in service(name).get("environment", {}).items()}


def published(name: str) -> Sequence[tuple[str, int, int]]:
    """Return the published ports: address, port there, port in the container."""
    parts = [port.rsplit(":", 2) for port in service(name).get("ports", ())]
    return [(address, int(outside), int(inside)) for address, outside, inside in parts]


def mounts(name: str) -> Mapping[str, Path | str]:
    """Return place in the container -> path on this machine, or name of a volume."""
    found: dict[str, Path | str] = {}
    for volume in service(name).get("volumes", ()):
        source, place = volume.split(":")[:2]
        found[place] = (DEPLOY / source).resolve() if source.startswith(".") else source
    return found


def _interpolated(text: str) -> str:
    def default(found: re.Match[str]) -> str:
        assert found[2], f"${{{found[1]}}} has no default: `docker compose up` would need it set"
        return found[2]

    return _VARIABLE.sub(default, text)
