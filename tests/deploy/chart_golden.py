"""What the examples render to, beside the tests: `python -m tests.deploy.chart_golden` writes the files anew.

Rules and dashboards stand in them by name: a test of its own holds them against their source.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from tests.deploy.chart import EXAMPLES, Manifest, example

GOLDEN: Final = Path(__file__).parent / "chart_golden"
RENEW: Final = "PYTHONPATH=. .venv/bin/python -m tests.deploy.chart_golden"


def file_of(name: str) -> Path:
    return GOLDEN / f"{name}.yaml"


def text_of(manifests: Sequence[Manifest]) -> str:
    """Return manifests as they stand in a golden file: in one order, whatever the version of Helm."""
    ordered = sorted(manifests, key=lambda each: (each["kind"], each["metadata"]["name"]))
    documents = [yaml.safe_dump(_shortened(each), sort_keys=False, width=120) for each in ordered]
    return "---\n".join(["", *documents])


def _shortened(manifest: Manifest) -> dict[str, Any]:
    match manifest["kind"]:
        case "PrometheusRule":
            return {**manifest, "spec": "as in deploy/prometheus/rules.yaml"}
        case "ConfigMap":
            return {**manifest, "data": dict.fromkeys(manifest["data"], "as in deploy/grafana")}
        case _:
            return dict(manifest)


if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    for each in EXAMPLES:
        file_of(each).write_text(text_of(example(each)), encoding="utf-8")
        sys.stdout.write(f"{file_of(each)}\n")
