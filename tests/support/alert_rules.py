"""The alert rules and recording rules of `deploy/prometheus/rules.yaml`, as data."""

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml

RULES = Path(__file__).parents[2] / "deploy/prometheus/rules.yaml"


@cache
def rules() -> Sequence[Mapping[str, Any]]:
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


@cache
def alerts() -> Mapping[str, Mapping[str, Any]]:
    """Return the alert rules by name."""
    return {rule["alert"]: rule for rule in rules() if "alert" in rule}
