"""Checks manifests against the schemas of their kinds: a field that a kind does not have is a fault too."""

import json
from collections.abc import Mapping
from functools import cache
from typing import Any, Final

import yaml
from jsonschema_rs import Draft7Validator, Registry

from tests.deploy.chart import Manifest
from tests.deploy.chart_tools import KUBERNETES, kubernetes_schemas, module_files

CUSTOM: Final = {
    "ScaledObject": "keda.sh_scaledobjects.yaml",
    "ServiceMonitor": "monitoring.coreos.com_servicemonitors.yaml",
    "PrometheusRule": "monitoring.coreos.com_prometheusrules.yaml",
}


def faults(manifest: Manifest, version: str = KUBERNETES[-1]) -> list[str]:
    """Return what is wrong with a manifest, each with its place."""
    kind, api = manifest["kind"], manifest["apiVersion"]
    validator = _custom(kind, api) if kind in CUSTOM else _native(kind, api, version)
    where = f"{kind} {manifest['metadata']['name']}"
    return [
        f"{where}: {'/'.join(map(str, each.instance_path))}: {each.message}" for each in validator.iter_errors(manifest)
    ]


@cache
def _native(kind: str, api: str, version: str) -> Draft7Validator:
    group, _, name = api.rpartition("/")
    parts = [kind.lower(), *group.split(".")[:1], name] if group else [kind.lower(), name]
    schema = json.loads((kubernetes_schemas() / version / f"{'-'.join(parts)}.json").read_text())
    return Draft7Validator(schema, registry=_definitions(version), validate_formats=False)


@cache
def _definitions(version: str) -> Registry:
    whole = json.loads((kubernetes_schemas() / version / "_definitions.json").read_text())
    return Registry([("json-schema:///api/_definitions.json", whole)])


@cache
def _custom(kind: str, api: str) -> Draft7Validator:
    definition = yaml.safe_load((module_files() / CUSTOM[kind]).read_text())
    version = next(each for each in definition["spec"]["versions"] if each["name"] == api.rpartition("/")[2])
    return Draft7Validator(_strict(version["schema"]["openAPIV3Schema"]), validate_formats=False)


def _strict(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return a structural schema as JSON Schema that refuses what a cluster would prune in silence."""
    made = {name: value for name, value in schema.items() if not name.startswith("x-kubernetes-")}
    if "(?" in made.get("pattern", ""):  # Go's own flags
        del made["pattern"]
    if schema.get("x-kubernetes-int-or-string"):
        return {"type": ["integer", "string"]}
    if "properties" in schema:
        made["properties"] = {name: _strict(each) for name, each in schema["properties"].items()}
        # The metadata that every object has is not in the definition of its kind.
        if not schema.get("x-kubernetes-preserve-unknown-fields") and "additionalProperties" not in schema:
            made["additionalProperties"] = False
    for name in ("items", "additionalProperties"):
        if isinstance(schema.get(name), Mapping):
            made[name] = _strict(schema[name])
    return made
