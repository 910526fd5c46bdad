"""Writes the part `settings` of the chart's values.schema.json: `python deploy/helm/make_schema.py`.

It is made from services/settings.py, and a test fails where it is not up to date. All else in that file is written by
hand. What the chart sets itself (addresses to listen on, mounted files) and secrets are no values under `settings`.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).parents[2]))

from services.settings import Settings

SCHEMA: Final = Path(__file__).parent / "tidemark/values.schema.json"
SET_BY_THE_CHART: Final = frozenset(
    {f"{role}.{name}" for role in ("ingest", "aggregator", "canary") for name in ("host", "port", "address_file")}
    | {f"api.{name}" for name in ("host", "port", "health_host", "health_port", "address_file")}
    | {f"{server}.ssl_{name}_file" for server in ("kafka", "redis") for name in ("ca", "certificate", "key")}
    | {"api.jwt_key_file", "api.tiers_file", "canary.enabled", "canary.api_url"}
)
NOT_FOR_A_DEPLOYMENT: Final = frozenset({"testing"})

Schema = Mapping[str, Any]


def settings_part() -> dict[str, Any]:
    """Return the schema of `settings`: group -> name -> value."""
    whole = Settings.model_json_schema()
    groups = {
        group: whole["$defs"][reference["$ref"].rpartition("/")[2]]["properties"]
        for group, reference in whole["properties"].items()
        if group not in NOT_FOR_A_DEPLOYMENT
    }
    part = {
        "type": "object",
        "additionalProperties": False,
        "description": "Tidemark's settings by group and name; secrets are named under secrets.",
        "properties": {group: _group(group, settings) for group, settings in groups.items()},
        "required": ["kafka", "topics"],
    }
    topics = part["properties"]["topics"]
    topics["required"] = ["events_partitions", "frames_partitions"]
    for name in topics["required"]:  # the chart counts with them
        topics["properties"][name]["type"] = "integer"
    return part


def _group(group: str, settings: Mapping[str, Schema]) -> dict[str, Any]:
    properties = {
        name: _value(schema)
        for name, schema in settings.items()
        if f"{group}.{name}" not in SET_BY_THE_CHART and not _is_secret(name, settings)
    }
    return {"type": "object", "additionalProperties": False, "properties": properties}


def _is_secret(name: str, settings: Mapping[str, Schema]) -> bool:
    """Whether it is a secret, or names the file of one."""
    schema = settings.get(name.removesuffix("_file"), settings[name])
    return any(each.get("writeOnly") for each in _alternatives(schema))


def _alternatives(schema: Schema) -> list[Schema]:
    return list(schema.get("anyOf", [schema]))


def _value(schema: Schema) -> dict[str, Any]:
    """Return what may stand in values.yaml; null leaves a setting at Tidemark's own default."""
    described = {"description": schema["description"]} if "description" in schema else {}
    kinds = {each["type"] for each in _alternatives(schema)}
    if "enum" in schema:
        return described | {"enum": [*schema["enum"], None]}
    if "number" in kinds:  # a duration: 35d, 90s, none
        kinds.add("string")
    limits = {
        name: schema[name] for name in ("minimum", "maximum", "pattern") if name in schema and "string" not in kinds
    }
    return described | {"type": sorted(kinds | {"null"})} | limits


def text() -> str:
    """Return the whole file with its part made anew."""
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    schema["properties"]["settings"] = settings_part()
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    SCHEMA.write_text(text(), encoding="utf-8")
